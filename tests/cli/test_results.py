from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from memtk.cli import cli

REAL = Path(__file__).parents[1] / "results/result-schema-2.json"
SMALL = [
    "bench", "-g", "copycat", "-g", "independent", "--similarity", "ncc", "--preset", "smoke",
    "--device", "cpu", "--suite", "phantom2d", "--set", "bench.plants=3",
]  # fmt: skip


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A run folder of both controls."""
    folder = tmp_path_factory.mktemp("bench") / "run"
    run(*SMALL, "--out", folder)
    return folder


def test_validate_shows_what_was_checked(bench):
    text = run("results", "validate", bench, REAL)
    assert "3 of 3 valid" in text and "nulls by their formulas" not in text
    good = [line for line in text.splitlines() if line.startswith("ok ")]
    assert len(good) == 3 and all("checks" in line for line in good)
    text = run("results", "validate", bench, REAL, "--all")
    assert "3 of 3 valid" in text and "nulls by their formulas" in text
    assert re.search("arrays.h5 gives the same numbers +ok", text) and "no file beside" in text


def test_validate_exits_with_3_for_what_is_wrong_and_2_for_what_is_not_there(tmp_path):
    tree = json.loads(REAL.read_text())
    tree["checkpoints"][0]["protocols"]["dar"]["n_mem"] = 7
    (tmp_path / "result.json").write_text(json.dumps(tree))
    text = run("results", "validate", tmp_path / "result.json", REAL, code=3)
    assert "failed" in text and "7 of 20" in text and "1 of 2 valid" in text
    assert "there is no" in run("results", "validate", tmp_path / "none.json", code=2)


def test_show_reads_as_tables():
    text = run("results", "show", REAL)
    assert "monai2d" in text and "INCONCLUSIVE" in text and "ntxent2d" in text
    assert "20 patients" in text and "phantom2d, version 1" in text


def test_show_takes_a_run_and_a_folder_of_runs_too(bench):
    text = run("results", "show", bench)
    files = sorted(bench.rglob("result.json"))
    assert files and text.count("data fingerprint") == len(files)
    assert run("results", "show", files[0].parent) == run("results", "show", files[0])


@pytest.mark.parametrize("command", ["report", "release", "review", "results add"])
def test_a_run_that_is_not_there_is_said_to_be_missing(command, tmp_path):
    into = [tmp_path / "into"] if command == "results add" else []
    text = run(*command.split(), tmp_path / "no-run", *into, code=2)
    assert "there is no" in text and "name the folder of a run" in " ".join(text.split())


def test_rerun_says_that_the_numbers_are_the_same(monkeypatch, tmp_path):
    again = "memtk.bench.reproduce.reproduce"
    monkeypatch.setattr(again, lambda stored, registry, **options: stored)
    text = run("results", "rerun", REAL)
    assert re.search(r"[1-9]\d+ equal, 0 within 0\.01, 0 differ", text)
    monkeypatch.setattr(again, lambda stored, registry, **options: None)
    assert "equal" not in run("results", "rerun", REAL)  # another process than the first


def test_rerun_says_which_numbers_are_not(bench, tmp_path):
    tree = json.loads((bench / "cells/copycat/result.json").read_text())
    tree["checkpoints"][-1]["protocols"]["dar"]["n_mem"] |= {"count": 19, "value": 0.95}
    (tmp_path / "result.json").write_text(json.dumps(tree | {"versions": {"torch": "0"}}))
    options = ("--device", "cpu", "--out", tmp_path / "again")
    text = run("results", "rerun", tmp_path / "result.json", *options, code=3)
    assert (tmp_path / "again/report.html").exists()
    assert re.search("[1-9] differ", text) and "torch was 0, is" in text


def test_a_submission_becomes_a_leaderboard(bench, tmp_path):
    text = run("results", "add", bench, tmp_path / "all", "--report")
    assert text.count("added: ") == 2
    text = run("leaderboard", tmp_path / "all", "--out", tmp_path / "site")
    assert "2 reports left out, with pictures of training images: --with-pictures" in text
    assert not list((tmp_path / "site").rglob("report.html"))
    pictures = ("--out", tmp_path / "site", "--with-pictures")
    text = run("leaderboard", tmp_path / "all", *pictures)
    assert f"site: {tmp_path / 'site/index.html'}" in text and "missing" not in text
    assert len(list((tmp_path / "site").rglob("report.html"))) == 2
    text = run(
        "leaderboard", tmp_path / "all",
        "--markdown", tmp_path / "L.md", "--csv", tmp_path / "L.csv",
    )  # fmt: skip
    assert "site" not in text
    assert (tmp_path / "L.md").read_bytes() == (tmp_path / "site/LEADERBOARD.md").read_bytes()
    assert (tmp_path / "L.csv").read_bytes() == (tmp_path / "site/leaderboard.csv").read_bytes()


def test_where_nothing_is_valid_a_leaderboard_is_left_as_it_was(tmp_path):
    broken = tmp_path / "e.json"
    broken.write_text("{}")
    said = run("leaderboard", broken, "--markdown", tmp_path / "old.md", code=2)
    text = " ".join(said.split())
    assert "refused: e.json" in text and "what is wrong with each is said above" in text
    assert not (tmp_path / "old.md").exists()


def test_a_file_that_does_not_fit_is_not_to_be_deleted(tmp_path):
    broken = tmp_path / "e.json"
    broken.write_text("{}")
    text = " ".join(run("results", "show", broken, code=2).split())
    assert "memtk results validate" in text and "delete" not in text


def test_leaderboard_tells_what_it_refuses_and_what_is_missing(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / "all" / name).mkdir(parents=True)
        shutil.copy(REAL, tmp_path / "all" / name / "result.json")
    (tmp_path / "all/b/result.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    text = run("leaderboard", "all")
    assert (
        "refused: b/result.json" in text and "It lacks the controls copycat and independent" in text
    )
    assert "site: leaderboard/index.html" in text
