"""A text of a result file is never a command, markup, a formula, a link or an opened path."""

from __future__ import annotations

import contextlib
import copy
import csv
import html
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from memtk.bench.reproduce import recipe_of
from memtk.cli import cli
from memtk.errors import UserError
from memtk.leaderboard import collect, write_site
from memtk.registry import open_registry
from memtk.report import build_audit_report, build_report
from memtk.report.provenance import repeat_audit, repeat_command
from memtk.results import Audit, Policy, Result, RunFile, read_result
from memtk.results.redact import named
from memtk.results.store import odd_texts
from memtk.results.validate import validate

REAL = json.loads((Path(__file__).parents[1] / "results/result-schema-3.json").read_text())

TEXTS = (
    "x;touch pwned", "$(touch pwned)", "`touch pwned`", "x\ntouch pwned\n", "'; touch pwned; '",
    "x\n```\n# Title\n", "<script>pwned()</script>", "<img src=x onerror=pwned()>",
    "javascript:pwned()", "](https://pwned.example)", "![x](https://pwned.example/x.png)",
    "https://pwned.example", "www.pwned.example", "=HYPERLINK(\"https://pwned.example\")",
    "+cmd|' /C pwned'!A0", "@SUM(1)", "-1+1", "\t=1+1", "\x1b[2Jpwned", "\x9b2J", "\u202epwned",
    "[red]pwned[/red]", "[/pwned]", "[link=https://pwned.example]x[/link]", "$\\frac{pwned",
    "{{ 7 * 7 }}", "{% raw %}", "%s%n", "../../../../etc/passwd", "/etc/passwd", "C:\\x", "~/x",
    "a" * 100_000, "1." * 20_000, "/" * 20_000, "\x00", "\ud800", "",
)  # fmt: skip
"""Texts that do harm where they are not taken for text."""


def leaves(tree, kind, path=()):
    """Return the places of all values of a kind, by keys."""
    if isinstance(tree, dict):
        return [p for k, v in tree.items() for p in leaves(v, kind, (*path, k))]
    if isinstance(tree, list):
        return [p for k, v in enumerate(tree) for p in leaves(v, kind, (*path, k))]
    return [path] if type(tree) in kind else []


def put(tree, path, value):
    for key in path[:-1]:
        tree = tree[key]
    before, tree[path[-1]] = tree[path[-1]], value
    return before


def with_text(tree, text, fits, first=0, step=1):
    """Put a text in the place of every text, or every `step`th, that `fits` lets it take."""
    tree = copy.deepcopy(tree)
    for path in leaves(tree, {str})[first::step]:
        before = put(tree, path, text)
        if not fits(tree):
            put(tree, path, before)
    return tree


def odd(tree):
    return next(odd_texts(tree), None) or next(iter(named(tree)), None)


def fits(tree, record=Result):
    try:
        record.model_validate(tree)
    except ValidationError:
        return False
    return True


def write(folder, tree):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_bytes(json.dumps(tree).encode())
    return folder / "result.json"


def commands_of(text):
    """Return the blocks of commands of a page or of Markdown."""
    blocks = re.findall(r"```\n(.*?)\n```", text, re.S) + re.findall(
        r"<pre[^>]*>(.*?)</pre>", text, re.S
    )
    return [html.unescape(block) for block in blocks]


def run_as_a_reader(block, folder):
    """Type a block of commands into a shell in which memtk does nothing."""
    folder.mkdir(exist_ok=True)
    script = f"memtk() {{ :; }}\n{block}\n"
    subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, timeout=20, check=False)
    return sorted(p.name for p in folder.iterdir())


def check_site(folder):
    for path in folder.rglob("*"):
        if path.suffix == ".html":
            ours = r"<style>.*?</style>|<script>.*?</script>"
            body = re.sub(ours, "", path.read_text(), flags=re.S)
            bad = r"<script|<img|onerror=[^&]*>|href=\"(?!#)[^\"]*(:|//)"
            assert not re.search(bad, body), path
        if path.name == "LEADERBOARD.md":
            text = re.sub(r"```\n.*?\n```|^<!--.*", "", path.read_text(), flags=re.S | re.M)
            bad = r"(?<!\\)(\]\(|<|www\.|`)|https?://|^# (?!Leaderboard)"
            assert not re.search(bad, text, re.M)
        if path.suffix == ".csv":
            cells = [cell for row in csv.reader(path.read_text().splitlines()) for cell in row]
            assert not [cell for cell in cells if re.match(r"[=+@\t]|-(?![\d.])", cell)]


def check_terminal(*words):
    done = CliRunner().invoke(cli, ["results", *map(str, words)])
    assert done.exit_code in (0, 2, 3), done.exception
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert not re.search("[\x1b\x9b\u202e]", done.output)


def check_commands(folder, shell):
    paths = [path for path in folder.rglob("*") if path.suffix in (".md", ".html")]
    blocks = {block for path in paths for block in commands_of(path.read_text())}
    assert "pwned" not in run_as_a_reader("\n".join(blocks), shell)
    return blocks


def test_a_text_of_a_result_is_only_text_on_a_leaderboard(tmp_path):
    """Of each text a file that has it in a quarter of the places that a valid result has it in."""
    for number, text in enumerate(text for text in TEXTS if len(text) < 1000):
        folder, first = tmp_path / f"all/{number}", number % 4
        write(folder, with_text(REAL, text, lambda t: not odd(t) and fits(t), first, 4))
        check_terminal("show", folder / "result.json")
    check_terminal("validate", tmp_path / "all")
    write_site(collect(tmp_path / "all"), tmp_path / "site")
    check_site(tmp_path / "site")
    assert check_commands(tmp_path / "site", tmp_path / "shell")


@pytest.mark.parametrize("texts", [(0, 6), (3, 18)], ids=str)
def test_one_text_of_a_result_is_only_text_on_a_leaderboard(texts, tmp_path):
    """In each place a text for a shell or for a table, and one for a browser or a terminal."""
    for number, path in enumerate(leaves(REAL, {str})):
        tree = copy.deepcopy(REAL)
        put(tree, path, TEXTS[texts[number % 2]])
        write(tmp_path / f"all/{number}", tree)
    write_site(collect(tmp_path / "all"), tmp_path / "site")
    check_site(tmp_path / "site")
    check_commands(tmp_path / "site", tmp_path / "shell")


KEYS = (
    *("x;touch pwned", "--out", "x y", "$(touch pwned)", "x\n  touch pwned", "a=b", "<b>"),
    *("../x", "=1", ""),
)
TABLES = (
    ("request", "settings", "generator"),
    ("request", "bench"),
    ("components", "generator", "config"),
)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("table", TABLES, ids=".".join)
def test_a_key_of_a_setting_is_a_word(key, table, tmp_path):
    tree = copy.deepcopy(REAL)
    place = tree
    for name in table:
        place = place.setdefault(name, {})
    place[key] = 3
    said = validate(write(tmp_path, tree))
    assert "texts, names and keys" in [check.name for check in said.failed]
    recipe = {"suite": None, **tree["request"], "audit": tree["request"]["bench"]}
    for command in (repeat_command(recipe), repeat_audit(recipe, Policy())):
        assert "pwned" not in run_as_a_reader(command, tmp_path / "shell")
        assert not re.search(r"^\s*touch", command, re.M)


def test_tables_of_settings_are_of_components_alone():
    recipe = {
        "bench": {"preset": "smoke"},
        "settings": {"data": {"source": "x"}, "bench": {"seed": 1}},
    }
    assert repeat_command(recipe) == "memtk bench \\\n  --preset smoke"


PLACES = ("/etc/passwd", "../x.pt", "x.pt", "a/b", "C:\\x", "there", "~/x")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "key", ["generator.weights", "embedder.imagenet", "data.validation_source"]
)
def test_a_repetition_opens_no_place_that_the_file_names(place, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "there")
    tree = copy.deepcopy(REAL)
    table, name = key.split(".")
    config = tree["request"]["data"] if table == "data" else tree["components"][table]["config"]
    config[name] = place
    result = Result.model_validate(tree)
    with pytest.raises(UserError, match=rf"--set {key}=\.\.\."):
        recipe_of(result)
    assert recipe_of(result, sets=[f"{key}=mine.pt"])


def fifo(path):
    os.mkfifo(path)


def huge(path):
    with open(path, "wb") as file:
        file.truncate(10**10)


NO_FILES = {
    "a pipe": fifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "10 GB": huge,
    "nested": lambda path: path.write_text("[" * 100_000),
    "nested tables": lambda path: path.write_text('{"a":' * 300 + "1" + "}" * 300),
    "a long number": lambda path: path.write_text(
        '{"schema_version": 3, "seed": ' + "9" * 4000 + "}"
    ),
    "no UTF-8": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    "NUL": lambda path: path.write_bytes(bytes(100)),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_of_results_is_a_sentence_at_once(kind, tmp_path):
    (tmp_path / "all").mkdir()
    NO_FILES[kind](tmp_path / "all/result.json")
    path = str(tmp_path / "all/result.json")
    begin = time.monotonic()
    for words in (("show", path), ("rerun", path), ("validate", path)):
        done = CliRunner().invoke(cli, ["results", *words])
        assert done.exit_code in (2, 3) and isinstance(done.exception, SystemExit), done.exception
    done = CliRunner().invoke(
        cli, ["leaderboard", str(tmp_path / "all"), "--out", str(tmp_path / "site")]
    )
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert not (tmp_path / "site").exists() and time.monotonic() - begin < 10


@pytest.fixture
def unsaved_figures(monkeypatch):
    """Draw the figures of reports, and save none: that takes half the time of a page."""
    save = "matplotlib.figure.Figure.savefig"
    monkeypatch.setattr(save, lambda self, file, **how: file.write(b"<svg/>"))


@pytest.mark.usefixtures("unsaved_figures")
@pytest.mark.parametrize("text", TEXTS[::4], ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("kind", ["bench", "audit"])
def test_a_run_that_somebody_edited_gives_a_page_of_text_or_a_sentence(kind, text, runs, tmp_path):
    folder = shutil.copytree(runs[kind], tmp_path / "run")
    path = folder / "audit.json" if kind == "audit" else next(folder.glob("cells/*/result.json"))
    for file, record in (
        (path, Audit if kind == "audit" else Result),
        (folder / "run.json", RunFile),
    ):

        def same_cell(tree, record=record):
            return fits(tree, record) and tree.get("cell", "monai") == "monai"

        file.write_text(json.dumps(with_text(json.loads(file.read_text()), text, same_cell)))
    build = build_audit_report if kind == "audit" else build_report
    try:
        page = build(folder, open_registry()).read_text()
    except UserError as error:
        assert "\x1b" not in str(error)
        return
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    assert not re.search(r"<script|onerror=[^&]*>|<img src=x|(href|src)=\"(?!#|data:)", body)
    assert "\x1b" not in page and "\u202e" not in page
    for block in commands_of(page):
        assert "pwned" not in run_as_a_reader(block, tmp_path / "shell")


@pytest.mark.parametrize("junk", [None, 3, "x", [], [1], {"a": []}], ids=str)
def test_junk_in_a_run_file_is_a_page_or_a_sentence(junk, runs, tmp_path, monkeypatch):
    monkeypatch.setattr("memtk.report.page.both_widths", lambda draw: ("data:", "data:"))
    for kind, build in (("bench", build_report), ("audit", build_audit_report)):
        before = json.loads((runs[kind] / "run.json").read_text())
        places = [("cells",), ("recipe",), *(("recipe", key) for key in before["recipe"])]
        folder = shutil.copytree(runs[kind], tmp_path / kind)
        for place in places:
            tree = copy.deepcopy(before)
            put(tree, place, junk)
            (folder / "run.json").write_text(json.dumps(tree))
            with contextlib.suppress(UserError):
                build(folder, open_registry())


@pytest.mark.parametrize(
    "cell", ["../other", "/etc", "..", ".", "", "a/b", "a\\b", ".hidden", "c:x"]
)
def test_a_cell_is_a_folder_of_its_run(cell, runs, tmp_path):
    folder = shutil.copytree(runs["bench"], tmp_path / "run")
    tree = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(tree | {"cells": [cell]}))
    done = CliRunner().invoke(cli, ["report", str(folder)])
    assert done.exit_code == 2 and "does not fit" in " ".join(done.output.split())


def test_a_result_of_another_cell_is_refused(runs, tmp_path):
    folder = shutil.copytree(runs["bench"], tmp_path / "run")
    path = folder / "cells/monai/result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cell": "other"}))
    done = CliRunner().invoke(cli, ["report", str(folder)])
    said = " ".join(done.output.split())
    assert done.exit_code == 2 and "is the result of a cell 'other'" in said
    assert read_result(path).cell == "other"
