"""What a person reads when something is wrong: one to three lines, exit 2, no traceback."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli

SMALL = ["--preset", "smoke", "--device", "cpu"]


def refused(*arguments):
    """Run the command, which must refuse; return what it says."""
    done = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    message = done.output[done.output.index("Error:") :].strip()
    assert len(message.splitlines()) <= 6, message
    return message


@pytest.fixture
def volumes(tmp_path):
    """Write six NIfTI volumes of 8^3 and their manifest; return the folder."""
    import nibabel

    rng = np.random.default_rng(0)
    lines = ["path,patient_id,split"]
    for i in range(6):
        voxels = rng.normal(size=(8, 8, 8)).astype(np.float32)
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / f"v{i}.nii.gz")
        lines.append(f"v{i}.nii.gz,P{i},{'train' if i < 3 else 'val'}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def bench(volumes, *more):
    return refused(
        "bench", "-g", "copycat", "--data", volumes / "manifest.csv", "--out", volumes / "run",
        *SMALL, *more,
    )  # fmt: skip


def replace(folder, name, voxels):
    import nibabel

    nibabel.Nifti1Image(voxels.astype(np.float32), np.eye(4)).to_filename(folder / name)


def test_an_unreadable_volume_is_named(volumes):
    (volumes / "v1.nii.gz").write_bytes(b"\x1f\x8bnothing")
    assert "v1.nii.gz" in bench(volumes)


def test_volumes_of_different_sizes_are_refused_with_the_setting_that_mends_it(volumes):
    replace(volumes, "v2.nii.gz", np.random.default_rng(1).normal(size=(8, 10, 8)))
    message = bench(volumes)
    assert "8x10x8" in message and "--set data.shape=" in message


def test_a_voxel_that_is_no_number_is_refused_with_the_file(volumes):
    voxels = np.random.default_rng(1).normal(size=(8, 8, 8))
    voxels[0, 0, 0] = np.nan
    replace(volumes, "v2.nii.gz", voxels)
    assert "v2.nii.gz" in bench(volumes)


def test_a_constant_volume_is_refused_with_the_file(volumes):
    replace(volumes, "v4.nii.gz", np.zeros((8, 8, 8)))
    assert "v4.nii.gz" in bench(volumes)


def test_a_patient_in_two_splits_is_refused_by_number(volumes):
    manifest = volumes / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("P5", "P0"))
    assert "P0" in bench(volumes) and "split" in bench(volumes)


def test_a_missing_validation_set_is_refused_with_the_way_out(volumes):
    manifest = volumes / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",val", ",train"))
    assert "validation" in bench(volumes)


def test_an_unknown_generator_gets_the_nearest_name():
    message = refused("bench", "-g", "monia3d", *SMALL)
    assert "Did you mean 'monai3d'?" in message


def test_an_unknown_setting_gets_the_nearest_name():
    message = refused("bench", "--set", "generator.difusion.steps=3", *SMALL)
    assert "Did you mean 'diffusion'?" in message


def test_a_setting_without_a_value_is_refused():
    assert "KEY=VALUE" in refused("bench", "--set", "generator.steps", *SMALL)


def test_an_unknown_preset_is_refused_with_those_that_are():
    assert "smoke" in refused("bench", "--preset", "smok")


def test_a_model_for_images_is_refused_on_volumes(volumes):
    message = refused(
        "bench", "-g", "monai2d", "-e", "ntxent3d", "--data", volumes / "manifest.csv", *SMALL,
        "--out", volumes / "run",
    )  # fmt: skip
    assert "works on 2D images; the data are 3D" in message and "monai3d" in message


def test_a_shape_that_the_network_cannot_take_is_refused_with_one_that_it_can(volumes):
    message = refused(
        "bench", "-g", "monai3d", "--data", volumes / "manifest.csv", *SMALL,
        "--set", "data.shape=7,9,8", "--out", volumes / "run",
    )  # fmt: skip
    assert "7" in message and "8" in message


def test_a_missing_file_is_refused(tmp_path):
    assert "nowhere.csv" in refused("bench", "--data", tmp_path / "nowhere.csv", *SMALL)


def test_a_missing_run_is_refused(tmp_path):
    assert "run" in refused("report", tmp_path / "nothing")


def test_a_malformed_recipe_is_refused_with_its_line(tmp_path):
    (tmp_path / "r.toml").write_text("[bench\n")
    assert "line 1" in refused("bench", "--config", tmp_path / "r.toml")


def test_a_device_that_is_not_there_is_refused():
    message = refused("bench", "-g", "copycat", "--preset", "smoke", "--device", "gpu")
    assert "unknown device" in message


EMPTY = (
    "bench --data '' --dry-run",
    "bench --suite= --dry-run",
    "audit --embeddings vectors.npz --stratify ''",
    "release run --second-similarity ''",
    "plugins test ''",
    "results add '' all",
    "study datasize -g ''",
)


@pytest.mark.parametrize("line", EMPTY)
def test_what_is_empty_is_refused_and_not_taken_for_a_default(line):
    done = CliRunner().invoke(cli, shlex.split(line))
    name = next((word for word in line.split() if word[:2] == "--" and word != "--dry-run"), "")
    assert done.exit_code == 2 and "is empty: give it a value, or leave it out" in done.output
    assert not name or "embeddings" in name or name.rstrip("=") in done.output


def test_a_setting_may_end_with_an_equals_sign():
    done = CliRunner().invoke(cli, ["check", "--data", "phantom2d", "--set", "data.shape="])
    assert "is empty: give it" not in done.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("audit --train t --json -o", "--json takes FILE|-, and after it stands -o, an option"),
        ("audit --json --out x", "after it stands --out, an option. Give --json its value"),
        ("audit --policy --otu x", "after it stands --otu, an option. Did you mean '--out'?"),
        ("bench -g -e ntxent2d", "-g takes NAME, and after it stands -e"),
        ("study datasize --sizes --seeds=0", "after it stands --seeds=0"),
        ("data make phantom2d x --size --copies 3", "--size takes INTEGER"),
        ("release run --out --json", "after it stands --json"),
        ("results recompute run --protocol -h", "after it stands -h"),
    ],
)
def test_an_option_is_not_taken_for_the_value_of_the_one_before_it(command, said, tmp_path):
    assert said in refused(*command.split())
    assert not list(tmp_path.iterdir())


def test_a_value_may_begin_with_a_dash():
    for value in ("-1", "-", "-(.*)", "--"):
        done = CliRunner().invoke(cli, ["audit", "--seed", "0", "--json", value])
        assert "an option" not in done.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("audit A B C", "--train A --val B --synthetic C"),
        ("audit --train A B C", "options: --val B --synthetic C"),
        ("audit m.csv made", "--data m.csv --synthetic made"),
        ("audit --val B A 'my images'", "--train A --synthetic 'my images'"),
        ("audit A B C D", "--train T --val V --synthetic S"),
        ("selftest A B", "--train A --val B"),
        ("selftest m.csv", "--data m.csv"),
        ("check A B C", "--train A --val B --synthetic C"),
        ("bench monai2d images/m.csv", "--generator monai2d --data images/m.csv"),
        ("study datasize vae2d", "--generator vae2d"),
        ("report run one", "takes RUN and options; more was given: one"),
        ("reference monai", "takes options alone; more was given: monai"),
        ("study monai2d", "There are: augmentation, datasize, grid, iterations"),
        ("results compar a", "There are: add,"),
    ],
)
def test_words_in_the_wrong_place_come_with_what_to_type(command, said):
    assert said in refused(*shlex.split(command))


def test_every_command_says_so():
    import click

    from memtk.cli import COMMANDS
    from memtk.cli.command import Command

    context, left = click.Context(cli), [cli.get_command(click.Context(cli), c) for c in COMMANDS]
    for command in left:
        if isinstance(command, click.Group):
            left += [command.get_command(context, name) for name in command.list_commands(context)]
        else:
            assert isinstance(command, Command), command.name
