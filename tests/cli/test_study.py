from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from memtk.cli import cli
from memtk.cli.study_display import TerminalDisplay
from memtk.events import Event
from memtk.plugins import load_plugins
from memtk.results.study import StudyRun
from memtk.study import Task

SMALL = [
    "-g", "copycat", "--similarity", "ncc", "--preset", "smoke", "--device", "cpu",
    "--set", "data.phantom.training=8", "--set", "data.phantom.validation=8",
    "--set", "data.phantom.held_out=0", "--set", "data.phantom.size=8", "--set", "bench.plants=0",
]  # fmt: skip


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    draw = "memtk.bench.run.build_report"
    monkeypatch.setattr(draw, lambda folder, registry: folder / "report.html")
    monkeypatch.setattr("memtk.report.study.draw_study", lambda study, settings: {})


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, ["study", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_study_ends_with_a_table_a_page_and_csv_and_goes_on(tmp_path):
    words = ("--vary", "copycat.rate=0,1", *SMALL, "--out", tmp_path / "s")
    text = run(*words)
    assert "✓ 1/2 copycat.rate-0" in text and "copycat.rate 1" in text and "100%" in text
    assert f"report: {tmp_path / 's' / 'report.html'}" in text and "study.csv" in text
    assert "✓ 2 of 2 cells (done earlier)" not in run(*words)  # nothing is left to tell of
    again = CliRunner().invoke(cli, ["report", str(tmp_path / "s")])
    assert f"report: {tmp_path / 's' / 'report.html'}" in again.output
    given = run("iterations", tmp_path / "s", "--out", tmp_path / "given")
    assert "report: " in given


def test_a_dry_run_writes_nothing(tmp_path):
    text = run("augmentation", *SMALL, "--seeds", "0,1", "--dry-run", "--out", tmp_path / "s")
    assert "4 cells, 0 finished" in text and not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", [["--vary", "seed=0,1"], ["datasize"], ["augmentation"]], ids=str)
def test_every_option_of_a_bench_passes_through(kind, tmp_path):
    """What a bench is asked for, a study asks of every cell."""
    beside = "copycat+datasize" if "augmentation" in kind else "copycat+augment"
    words = [
        *kind, *SMALL, "--attack", "gan-leaks", "--compare", beside, "--quality",
        "ms-ssim", "--checkpoints", 2, "--samples", 4,
    ]  # fmt: skip
    assert "cells" in run(*words, "--dry-run", "--out", tmp_path / "s")


def test_an_attack_and_a_comparison_reach_the_results_of_a_study(tmp_path):
    words = ["--vary", "seed=0,1", *SMALL, "--attack", "gan-leaks", "--compare", "copycat+augment"]
    run(*words, "--out", tmp_path / "s")
    found = sorted((tmp_path / "s/cells").glob("*/cells/*/result.json"))
    results = [json.loads(path.read_text()) for path in found]
    assert [r["cell"] for r in results] == ["copycat", "copycat+augment"] * 2
    assert all(r["membership"]["gan-leaks"]["auc"] for r in results)


def test_settings_of_jobs_without_jobs_are_refused_by_a_dry_run_too(tmp_path):
    words = ["--vary", "seed=0,1", *SMALL, "--slurm", "partition=gpu", "--out", tmp_path / "s"]
    assert "--slurm goes with" in run(*words, "--dry-run", code=2)


def test_a_cell_that_failed_is_named_and_the_status_is_2(tmp_path):
    text = run(
        *("--vary", "mitigation.datasize.patients=4,99", *SMALL, "--out", tmp_path / "s"), code=2
    )
    assert "✗ 2/2 datasize.patients-99" in text and "8 patients are in the training set" in text
    assert "1 of 2 cells is not finished" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "what is varied?"),
        (("--vary", "seed=0,0"), "0 is there twice"),
        (("--vary", "seed=0", "--slurm", "partition=gpu"), "--slurm goes with --executor slurm"),
    ],
)
def test_what_cannot_be_studied_is_said_in_a_line(words, said, tmp_path):
    assert said in run("grid", *words, *SMALL, "--out", tmp_path / "s", code=2)


def test_runs_that_are_given_take_no_settings(tmp_path):
    text = run("iterations", tmp_path, "-g", "copycat", code=2)
    assert "leave out --generators" in text or "leave out --generator" in text


def test_help_stands_without_a_name_too():
    assert "datasize" in run("--help") and "--vary" in run("datasize", "--help")


def test_the_display_tells_of_time_left_and_of_notes(capsys):
    console = Console(width=120, force_terminal=False)
    cell = StudyRun(name="a", values={}, recipe={}, images="x")
    with TerminalDisplay(console, load_plugins([])) as display:
        display.stage("cell", 4, 1, 1)
        display.started(Task("cell", "a", cell))
        display.inner(Event("step", "training", 3, 9))
        display.inner(Event("note", "training", text="mind this"))
        display.ended(Task("cell", "a", cell), None, 60.0)
        display.ended(Task("cell", "b", cell), "no luck\nat all", 1.0)
        display.stage("detector", 1, 0, 1)
        display.ended(Task("detector", "d", cell), None, 3.0)
    text = capsys.readouterr().out
    assert "1 of 4 cells (done earlier)" in text and "2/4 a (1 min, about 2 min left)" in text
    assert "note: mind this" in text and "✗ 3/4 b: no luck\n" in text
    assert "✓ copy detector 1/1 (3 s)" in text


def test_the_display_draws_bars_on_a_terminal():
    console = Console(width=120, force_terminal=True, record=True)
    cell = StudyRun(name="a", values={}, recipe={}, images="x")
    with TerminalDisplay(console, load_plugins([])) as display:
        display.stage("cell", 2, 0, 1)
        display.started(Task("cell", "a", cell))
        display.inner(Event("start", "sampling", 0, 9))
        display.ended(Task("cell", "a", cell), None, 60.0)
    assert "1/2" in console.export_text()


def test_the_papers_numbers_are_shown_and_printed_as_json():
    done = CliRunner().invoke(cli, ["reference", "--data-set", "mrnet", "--json"])
    rows = json.loads(done.output)["rows"]
    assert {row["data_set"] for row in rows} == {"mrnet"} and rows[0]["agreement"]["ppv"] == 85.0
    shown = CliRunner().invoke(cli, ["reference", "--system", "monai2d"])
    assert "arXiv 2402.01054 v2" in shown.output and "5.6%" in shown.output
    wrong = CliRunner().invoke(cli, ["reference", "--data-set", "mnist"])
    assert wrong.exit_code == 2 and "mrnet" in wrong.output
