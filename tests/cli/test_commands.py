from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from memtk.cli import cli
from memtk.cli.progress import Progress
from memtk.events import Event
from memtk.plugins import load_plugins

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = [
    "bench", "-g", "copycat", "--similarity", "ncc", "--preset", "smoke", "--device", "cpu",
    "--set", "data.phantom.training=6", "--set", "data.phantom.validation=6",
    "--set", "data.phantom.held_out=0",
]  # fmt: skip


def run(*arguments):
    done = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_bench_ends_with_a_table_and_the_report(tmp_path):
    text = run(*SMALL, "--out", tmp_path / "run")
    assert "copycat" in text and f"report: {tmp_path / 'run' / 'report.html'}" in text


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path):
    text = run(
        *SMALL, "-g", "monai3d", "--similarity", "pearson", "--dry-run", "--out", tmp_path / "run"
    )
    assert "diffusion" in text and "autoencoder" in text and "ntxent3d" in text
    assert not (tmp_path / "run").exists()


def test_report_makes_the_page_again(tmp_path):
    run(*SMALL, "--out", tmp_path / "run")
    page = tmp_path / "run/report.html"
    before = page.read_text()
    page.unlink()
    run("report", tmp_path / "run")
    assert page.read_text() == before


def test_a_recipe_file_says_what_options_say(tmp_path):
    (tmp_path / "r.toml").write_text(
        '[bench]\ngenerator = ["copycat"]\nsimilarity = "ncc"\npreset = "smoke"\n'
        "[data.phantom]\ntraining = 6\nvalidation = 6\nheld_out = 0\n"
    )
    run(*SMALL, "--out", tmp_path / "a")
    run("bench", "--config", tmp_path / "r.toml", "--out", tmp_path / "b")
    one, two = (json.loads((tmp_path / x / "cells/copycat/result.json").read_text()) for x in "ab")
    assert one["checkpoints"] == two["checkpoints"]


def test_list_shows_components_with_their_package():
    text = run("list", "generator")
    assert "monai3d" in text and "memtk 0.1.0" in text and "ntxent3d" not in text
    assert "ntxent3d" in run("list")


def test_plugins_shows_what_is_left_out_and_why(monkeypatch):
    monkeypatch.setenv("MEMTK_DISABLE_PLUGINS", "toy")
    text = run("plugins")
    assert "blocked" in text and "MEMTK_DISABLE_PLUGINS" in text


def shown(terminal, events):
    console = Console(record=True, width=120, force_terminal=terminal, quiet=False, file=Devnull())
    with Progress(console, load_plugins([], {}), every=0) as progress:
        for event in events:
            progress(event)
    return console.export_text()


class Devnull:
    def write(self, text):
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


EVENTS = [
    Event("note", "", text="each file is taken for a patient [sic]"),
    Event("start", "training a", 0, 10),
    Event("step", "training a", 5, 10, {"loss": 0.25}),
    Event("end", "training a", 10, 10, {"loss": 0.125}),
    Event("skip", "sampling a", 3, 3),
]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_says_what_ended_and_what_was_done_earlier(terminal):
    text = shown(terminal, EVENTS)
    assert "✓ training a" in text and "loss 0.125" in text
    assert "✓ sampling a (done earlier)" in text
    assert "note: each file is taken for a patient [sic]" in text


def test_without_a_terminal_steps_come_as_lines_with_the_time_left():
    assert "training a 5/10, 0 s left  loss 0.25" in shown(False, EVENTS)


def test_a_plugin_that_fails_while_it_watches_is_named_once_and_the_others_go_on(write_plugin):
    failing = """
        @hookimpl
        def memtk_run_event(event):
            raise ValueError("boom")
    """
    watching = """
        seen = []

        @hookimpl
        def memtk_run_event(event):
            seen.append(event.kind)
    """
    points = [write_plugin("bad", failing, "memtk-bad", "2.1"), write_plugin("good", watching)]
    points.append(write_plugin("late", watching))
    host = load_plugins(points, {})
    console = Console(record=True, width=200, file=Devnull())
    with Progress(console, host) as progress:
        progress(EVENTS[0])
        progress(EVENTS[4])
    text = " ".join(console.export_text().split())
    assert text.count("ValueError: boom") == 1
    assert "plugin 'bad' of memtk-bad 2.1: memtk_run_event failed" in text
    assert "MEMTK_DISABLE_PLUGINS=bad leaves the plugin out" in text
    for point in points[1:]:
        assert point.load().seen == [EVENTS[0].kind, EVENTS[4].kind]
