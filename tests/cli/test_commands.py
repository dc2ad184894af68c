from __future__ import annotations

import json

from click.testing import CliRunner

from memtk.cli import cli

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
