"""`memtk check`, as a person uses it."""

from __future__ import annotations

import json

import imageio.v3 as imageio
import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli


def check(*arguments, code=0):
    """Run the command; return what it prints, with line breaks made spaces."""
    done = CliRunner().invoke(cli, ["check", *map(str, arguments)])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done


def words(text):
    return " ".join(text.split())


@pytest.fixture
def folders(tmp_path):
    """Write 12 training, 12 validation and 5 synthetic pictures of noise; return their folder."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 12), ("val", 12), ("made", 5)):
        (tmp_path / name).mkdir()
        for i in range(count):
            voxels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            imageio.imwrite(tmp_path / name / f"{i:02d}.png", voxels)
    return tmp_path


@pytest.fixture
def sources(folders):
    return ["--train", folders / "train", "--val", folders / "val"]


def test_good_images_are_accepted_with_a_table(sources, folders):
    text = words(check(*sources, "--synthetic", folders / "made").output)
    assert "accepted; notes:" in text and "✗" not in text
    assert "synthetic 5 8 x 8" in text
    assert "No audit of these sizes can pass, whatever the generator" in text
    assert "A pass takes at least" in text and "at least 19 validation patients (here 12)" in text
    assert "names rest on ranks alone" in text


def test_what_a_pass_takes_is_that_of_the_policy(folders):
    lines = ["path,patient_id,split,site"]
    for s in ("train", "val"):
        lines += [f"{s}/{i:02d}.png,{s}{i},{s},{'ab'[i % 2]}" for i in range(12)]
    (folders / "all.csv").write_text("\n".join(lines))

    def said(text):
        (folders / "p.toml").write_text(f"[policy]\n{text}")
        check(folders / "all.csv", "--policy", folders / "p.toml", "--json", folders / "said.json")
        return json.loads((folders / "said.json").read_text())

    usual, few, fine = said(""), said("plants = 5"), said("alpha = 0.01\nfdr = 0.02")
    assert (usual["outlook"]["sizes"]["planted"], few["outlook"]["sizes"]["planted"]) == (12, 5)
    assert fine["outlook"]["copies"]["by_ranks"] != usual["outlook"]["copies"]["by_ranks"]
    assert said('stratify = "site"')["population"] != usual["population"]


def test_a_manifest_is_named_by_itself_or_with_data_but_once(folders):
    lines = ["path,patient_id,split"]
    lines += [f"{s}/{i:02d}.png,{s}{i},{s}" for s in ("train", "val") for i in range(12)]
    manifest = folders / "all.csv"
    manifest.write_text("\n".join(lines))
    for named in ((manifest,), ("--data", manifest)):
        assert "training 12 12 8 x 8" in words(check(*named).output)
    assert "name the images once" in words(check(manifest, "--data", manifest, code=2).output)


def test_a_blank_image_is_refused_with_its_name(sources, folders):
    imageio.imwrite(folders / "val/03.png", np.zeros((8, 8), np.uint8))
    text = words(check(*sources, code=2).output)
    assert "✗ blank, 1 of 24 images: val/03.png (all 0)" in text
    assert "refused by 1 of" in text


def test_a_policy_says_what_a_pass_takes(sources, folders):
    strict = folders / "policy.toml"
    strict.write_text("[policy]\nmax_copy_rate = 0.5\nmax_unseen_patients = 0.9\n")
    text = words(check(*sources, "--policy", strict).output)
    assert "the policy allows 50% and 90%" in text
    assert "That is for 12 synthetic images: none are given" in text


def test_another_site_is_a_note_with_a_way_out(sources, folders):
    for file in sorted((folders / "val").iterdir()):
        picture = imageio.imread(file)
        imageio.imwrite(file, np.where(np.arange(8) < 4, picture // 8, picture).astype(np.uint8))
    text = words(check(*sources, "--json", folders / "check.json").output)
    assert "Another site, scanner or preparation looks like memorization" in text
    assert "--stratify site" in text
    assert json.loads((folders / "check.json").read_text())["population"]["p"] <= 0.05


def test_synthetic_images_that_resemble_nothing_are_noted_before_anything_is_trained(
    sources, folders
):
    made, out = folders / "made", folders / "check.json"
    said = []
    for like in (True, False):
        for i in range(12):
            noise = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
            ramp = np.arange(64, dtype=np.uint8).reshape(8, 8) + i
            imageio.imwrite(made / f"{i:02d}.png", noise if like else ramp.astype(np.uint8))
        check(*sources, "--synthetic", made, "--json", out)
        found = json.loads(out.read_text())
        one = next(x for x in found["checks"] if x["check"].startswith("synthetic images look"))
        said.append((one["outcome"], found["likeness"]["p"] <= 0.01, one["way_out"]))
    assert said[0] == ("accepted", False, "")
    assert said[1][:2] == ("note", True) and "resembles nothing cannot be a copy" in said[1][2]


def test_sites_that_both_groups_have_are_compared_within_stratify(tmp_path):
    rng, rows = np.random.default_rng(0), ["path,patient_id,split,site"]
    for number in range(80):
        south, split = number % 2, "train" if number < 40 else "val"
        if number % 40 < 20 and split == "train":
            south = 1  # three in four training patients, and half of the others
        picture = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        dark = picture // 8 if south else picture
        image = np.where(np.arange(8) < 4, dark, picture).astype(np.uint8)
        imageio.imwrite(tmp_path / f"{number}.png", image)
        rows.append(f"{number}.png,P{number},{split},{['north', 'south'][south]}")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n")
    found = []
    for more in ([], ["--stratify", "site"]):
        check("--data", manifest, *more, "--json", tmp_path / "out.json")
        found.append(json.loads((tmp_path / "out.json").read_text())["population"]["p"])
    assert found[0] <= 0.05 < found[1]


def test_each_image_is_read_once_for_the_same_tests_as_in_an_audit(sources, folders, monkeypatch):
    from memtk.data.sources import FileSource

    sources = [*sources, "--synthetic", folders / "made"]
    (policy := folders / "policy.toml").write_text("[policy]\nseed = 7\n")
    read, load = [], FileSource.load
    for more in ([], ["--policy", policy]):
        read.clear()
        with monkeypatch.context() as counting:
            counting.setattr(FileSource, "load", lambda s, x: read.append(x.name) or load(s, x))
            check(*sources, *more, "--json", folders / "check.json")
        assert len(read) == len(set(read)) == 29
        said = json.loads((folders / "check.json").read_text())
        run = folders / f"run{len(more)}"
        asked = ["audit", *sources, *more, "--similarity", "ncc", "--plants", "0", "--out", run]
        done = CliRunner().invoke(cli, [str(word) for word in asked])
        assert done.exit_code in (0, 3, 4), done.output
        audited = json.loads((run / "audit.json").read_text())["evidence"]["comparable"]
        for test in ("population", "likeness"):
            assert said[test].items() <= audited[test].items()


def test_the_same_is_written_as_json(sources, folders):
    out = folders / "check.json"
    check(*sources, "--json", out)
    found = json.loads(out.read_text())
    assert found["accepted"] is True
    assert found["groups"]["training"] == {
        "images": 12, "patients": 12, "shapes": [[8, 8]], "spacing": [1.0, 1.0],
    }  # fmt: skip
    assert {c["outcome"] for c in found["checks"]} == {"accepted", "note"}
    done = check(*sources, "--json", "-")
    assert json.loads(done.stdout) == found and "accepted" in done.stderr


def test_a_refusal_is_json_too(folders):
    done = check("--data", folders / "gone", "--json", "-", code=2)
    found = json.loads(done.stdout)
    assert found["accepted"] is False and found["groups"] == {}
    assert "no such file or folder" in found["checks"][0]["found"]


def test_nothing_is_left_behind(sources, folders, monkeypatch):
    monkeypatch.chdir(folders)
    before = sorted(folders.rglob("*"))
    check(*sources, "--synthetic", folders / "made")
    assert sorted(folders.rglob("*")) == before


def test_brackets_in_a_file_name_come_out_as_they_are(sources, folders):
    imageio.imwrite(folders / "val/[red]x.png", np.zeros((8, 8), np.uint8))
    assert "val/[red]x.png" in words(check(*sources, code=2).output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the images: memtk check MANIFEST, or --train T --val V"),
        (["--train", "t"], "--train needs --val"),
        (["--data", "d", "--train", "t"], "leave out --train and --val"),
        (["--data", "d", "--set", "data.shap=8,8"], "Did you mean 'shape'?"),
        (["--data", "d", "--set", "bench.seed=1"], "settings data.KEY=VALUE alone"),
        (["--data", "d", "--set", "data=1"], "settings data.KEY=VALUE alone"),
        (["--data", "d", "--set", "data.source=e"], "said twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(arguments, message):
    output = check(*arguments, code=2).output
    assert output.startswith("Error: ") and message in output


def test_the_sources_can_be_settings(folders):
    text = check(
        "--set", f"data.source={folders / 'train'}", "--set",
        f"data.validation_source={folders / 'val'}",
    ).output  # fmt: skip
    assert "accepted" in text


def test_json_to_a_folder_is_refused(sources, folders):
    assert "it is a folder" in check(*sources, "--json", folders, code=2).output


def test_many_sizes_are_counted_in_the_table(sources, folders):
    for i in range(3):
        imageio.imwrite(folders / f"val/{i:02d}.png", np.eye(9 + i, dtype=np.uint8) * 200)
    text = words(check(*sources, code=2).output)
    assert "validation 12 12 8 x 8 and 3 more" in text and "--set data.shape=8,8" in text


def test_phantoms_can_be_checked():
    output = check("--data", "phantom2d", "--set", "data.phantom.training=3").output
    assert "phantom" not in output and "accepted" in output


def test_the_leaky_chest_x_rays_are_refused(real_data):
    folder = real_data / "chest_xray_64"
    text = words(check("--data", folder / "manifest_leaky.csv", code=2).output)
    assert "✗ 30 of 264 patients are in more than one split (14 in training and validation" in text
