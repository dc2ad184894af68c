"""The commands that judge given images: what they print and how they exit."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.imaging.phantoms import phantom

RNG = np.random.default_rng(0)
VECTORS = {name: RNG.normal(size=(40, 8)) for name in ("train", "validation", "synthetic")}


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Folders of 2D phantoms: train, val, clean (strangers), made (training images again)."""
    root = tmp_path_factory.mktemp("images")
    numbers = {"train": 0, "val": 1200, "clean": 2000, "made": 0}
    for name, first in numbers.items():
        (root / name).mkdir()
        for row in range(24):
            image = phantom(0, first + row, 0, dims=2, size=16)[0]
            np.save(root / name / f"{row:02d}.npy", image + (0.01 if name == "made" else 0))
    return root


@pytest.fixture(scope="module")
def named(images):
    def options(synthetic="made"):
        return (
            "--train", images / "train", "--val", images / "val",
            "--synthetic", images / synthetic, "--similarity", "ncc", "--plants", "6",
            "--device", "cpu",
        )  # fmt: skip

    return options


@pytest.fixture(scope="module")
def failed(named, tmp_path_factory):
    """The audit of copies: what it printed, its folder, and its record as JSON in a file."""
    folder = tmp_path_factory.mktemp("failed")
    done = run("audit", *named(), "--json", folder / "a.json", "--out", folder / "run")
    return done, folder / "run", folder / "a.json"


def test_copies_fail_with_exit_3_and_the_reasons_in_words(failed):
    done, folder, _ = failed
    assert done.exit_code == 3, done.output
    assert "FAIL" in done.stdout and "the policy allows" in done.stdout
    assert f"report: {folder / 'report.html'}" in done.stdout.replace("\n", "")


def test_what_shows_neither_is_inconclusive_with_exit_4(named, tmp_path):
    done = run("audit", *named("clean"), "--out", tmp_path / "run")
    assert done.exit_code == 4, done.output
    assert "INCONCLUSIVE" in done.stdout


def test_a_policy_that_tolerates_it_passes_with_exit_0(named, tmp_path):
    (tmp_path / "p.toml").write_text(
        "[policy]\nmax_copy_rate = 0.99\nmax_exposed_patients = 0.99\n"
        "max_unseen_patients = 1\nmin_sensitivity = 0\n"
    )
    done = run("audit", *named("clean"), "--policy", tmp_path / "p.toml", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "WITHIN POLICY  Yes, within your policy" in done.stdout and "PASS" not in done.stdout


def test_json_on_stdout_is_one_object_and_nothing_else(named, tmp_path):
    done = run("audit", *named(), "--json", "-", "--out", tmp_path / "run")
    tree = json.loads(done.stdout)
    tables = tree["protocols"]
    assert set(tables["dar"]) >= {"tau", "n_mem", "n_copies", "validation_called_copies"}
    assert set(tables["dar-matched"]["n_mem"]) >= {"value", "count", "of", "null", "title"}
    assert set(tables["conformal"]) >= {"n_copies", "n_mem", "copies", "exposed"}
    assert {protocol["name"] for protocol in tree["applied"]} >= set(tables)
    assert set(tree["evidence"]) >= {
        "alpha", "fdr", "n_copies", "n_mem", "patients_exposed", "copy_rate",
        "copy_rate_upper_bound", "copies", "exposed", "comparable", "threshold",
    }  # fmt: skip
    assert tree["selftest"] and tree["verdict"]["outcome"] == "fail" and done.exit_code == 3


def test_json_in_a_file_is_that_of_the_run_folder(failed):
    _, folder, file = failed
    assert json.loads(file.read_text()) == json.loads((folder / "audit.json").read_text())


def test_a_dry_run_shows_the_plan_and_writes_nothing(named, tmp_path):
    options = [o for o in named("clean") if o not in ("--similarity", "ncc")]
    done = run("audit", *options, "--dry-run", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "ntxent2d" in done.stdout and "planted patients" in done.stdout
    assert re.search(r"training +│ up to 800 │", done.stdout)  # it may end before
    assert "at these sizes" in done.stdout or "of these sizes" in done.stdout
    assert not (tmp_path / "run").exists()


def test_the_report_of_an_audit_is_made_again(failed):
    _, folder, _ = failed
    page = folder / "report.html"
    before = page.read_text()
    page.unlink()
    assert run("report", folder).exit_code == 0
    assert page.read_text() == before


def test_embeddings_take_the_place_of_images(tmp_path):
    np.savez(tmp_path / "v.npz", **VECTORS)
    done = run(
        "audit", "--embeddings", tmp_path / "v.npz", "--out", tmp_path / "run", "--alpha", 0.1
    )
    assert done.exit_code == 4, done.output
    assert (tmp_path / "run" / "audit.json").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--train", "t", "--val", "v"], "which images are audited"),
        (["--synthetic", "s", "--val", "v"], "without --train"),
        (["--synthetic", "s", "--train", "t"], "--train needs --val"),
        (["--synthetic", "s", "--data", "d", "--train", "t"], "leave out --train"),
        (["--synthetic", "s"], "--train"),
        (["--embeddings", "v.npz", "--train", "t"], "leave out --train"),
        (["--embeddings", "v.npz", "--embedder", "x"], "leave out --embedder"),
        (["--embeddings", "v.npz", "--plants", "3"], "leave out --plants"),
        (
            ["--embeddings", "v.npz", "--exposure-embeddings", "w.npz", "--no-exposure"],
            "give one of them",
        ),
        (["--embeddings", "v.npz", "--dry-run"], "leave out --dry-run"),
        (["--synthetic", "s", "--exposure-embeddings", "v.npz"], "goes with --embeddings"),
        (["--synthetic", "s", "--policy", "no.toml"], "cannot read no.toml"),
        (["--train", "no", "--val", "no", "--synthetic", "no"], "no such file or folder"),
    ],
)
def test_what_cannot_be_done_exits_2_with_the_way_out(options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("audit", *options)
    assert done.exit_code == 2, done.output
    assert words in done.stderr.replace("\n", " ") and "Traceback" not in done.output


def test_json_into_a_folder_is_refused(named, tmp_path):
    done = run("audit", *named(), "--json", tmp_path, "--out", tmp_path / "run")
    assert done.exit_code == 2 and "it is a folder" in done.stderr
    assert not (tmp_path / "run").exists()  # it was told before hours of work


def test_a_self_test_shows_each_kind_of_planted_copy(images, tmp_path):
    done = run(
        "selftest", "--train", images / "train", "--val", images / "val", "--similarity", "ncc",
        "--plants", 6, "--out", tmp_path / "run", "--json", tmp_path / "s.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for kind in ("rotation", "contrast", "blur", "shift", "flip"):
        assert kind in done.stdout
    assert json.loads((tmp_path / "s.json").read_text())["sensitivity"]["conformal"]["n"] == 6


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "which images"),
        (["--data", "d", "--plants", "0"], "plants at least one"),
        (["--data", "d", "--confidence", "1"], "between 0 and 1"),
    ],
)
def test_a_self_test_without_images_or_plants_is_refused(options, words):
    done = run("selftest", *options)
    assert done.exit_code == 2 and words in done.stderr


def test_a_release_names_what_is_left_and_audits_it_again(images, tmp_path):
    (tmp_path / "mix").mkdir()
    for row in range(24):
        folder = "made" if row < 8 else "clean"
        image = np.load(images / folder / f"{row:02d}.npy")
        np.save(tmp_path / "mix" / f"{row:02d}.npy", image)
    folder = tmp_path / "run"
    first = run(
        "audit", "--train", images / "train", "--val", images / "val", "--synthetic",
        tmp_path / "mix", "--set", "embedder.training.steps=20", "--plants", 6, "--fdr", 0.3,
        "--out", folder,
    )  # fmt: skip
    assert first.exit_code == 3, first.output
    done = run("release", folder, "--second-similarity", "euclidean", "--drop", "alpha")
    assert done.exit_code in (0, 3, 4), done.output
    text = done.stdout.replace("\n", " ")
    assert "synthetic images are left" in text
    assert "cannot be tested by that score again" in " ".join(text.split())
    assert (folder / "release" / "release.csv").exists()
    assert (folder / "release" / "audit" / "audit.json").exists()
