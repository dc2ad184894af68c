"""Nothing that memtk did not write is deleted or overwritten, whatever it is called."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import memtk
from memtk import UserError
from memtk.cli import cli
from memtk.results.audit import read_audit
from memtk.results.collect import add

NAMES = (
    *("data/scan.h5", "cells/a.json", "report.html", "copies.csv", "key", "run.json", "arrays.h5"),
    *(
        "notes.tmp",
        ".notes.0123abcd.tmp",
        ".lock",
        "release.csv",
        "audit/audit.json",
        "runs/1.html",
    ),
    *("index.html", "leaderboard.csv", "study.csv", "shared/a", "logs/a.txt", "result.json"),
)
"""Files of somebody else, called as memtk calls its own."""

BENCH = ("--generator", "copycat", "--suite", "phantom2d", "--preset", "smoke")
DATA = ("--data", "phantom2d", "--set", "data.phantom.training=8")
WRITERS = {
    "bench": ("bench", *BENCH, "--out"),
    "bench again": ("bench", *BENCH, "--no-resume", "--out"),
    "audit": (
        "audit",
        "--train",
        "{images}",
        "--val",
        "{images}",
        "--synthetic",
        "{images}",
        "--out",
    ),
    "audit of embeddings": ("audit", "--embeddings", "{embeddings}", "--out"),
    "selftest": ("selftest", *DATA, "--out"),
    "study": ("study", "iterations", *BENCH, "--out"),
    "study again": ("study", "iterations", *BENCH, "--no-resume", "--out"),
    "release": ("release", "{audit}", "--second-similarity", "cosine", "--out"),
    "leaderboard": ("leaderboard", "{all}", "--out"),
    "rerun": ("results", "rerun", "{result}", "--out"),
    "plugins new": ("plugins", "new", "my-model"),
    "data make": ("data", "make", "phantom2d", "--training", "2"),
    "data make, as audit": ("data", "make", "phantom2d", "--as", "audit", "--training", "2"),
}
"""Every command that writes a folder, up to the folder's name."""

REFUSED = "what memtk did not write|is not empty|is there already"


def held(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("command", WRITERS)
def test_a_folder_of_somebody_else_stays_as_it_was(command, world, tmp_path):
    for name in NAMES:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(f"mine: {name}")
    before = held(tmp_path / "mine")
    words = [word.format(**world) for word in WRITERS[command]]
    done = CliRunner().invoke(cli, [*words, str(tmp_path / "mine")])
    assert done.exit_code == 2 and re.search(REFUSED, " ".join(done.output.split())), done.output
    assert held(tmp_path / "mine") == before


@pytest.mark.parametrize("name", NAMES)
def test_one_file_of_somebody_else_is_enough(name, tmp_path):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    done = CliRunner().invoke(cli, ["bench", *BENCH, "--no-resume", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "what memtk did not write" in " ".join(done.output.split())
    assert held(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("name", ["result.json", "arrays.h5", "report.html"])
def test_a_collection_keeps_what_lies_where_a_result_would_go(name, world, tmp_path):
    [folder] = add(world["results"], tmp_path)
    for there in folder.iterdir():
        there.unlink()
    (folder / name).write_text("mine")
    done = CliRunner().invoke(cli, ["results", "add", str(world["results"]), str(tmp_path)])
    assert done.exit_code == 2 and "memtk did not write it" in " ".join(done.output.split())
    assert held(tmp_path) == {(folder / name).relative_to(tmp_path).as_posix(): b"mine"}


def test_a_file_where_a_collection_would_go_stays_and_the_way_out_is_said(world, tmp_path):
    (tmp_path / "all").write_text("mine")
    done = CliRunner().invoke(cli, ["results", "add", str(world["results"]), f"{tmp_path}/all"])
    assert done.exit_code == 2 and "is a file: choose another folder" in done.output
    assert (tmp_path / "all").read_text() == "mine"


@pytest.mark.parametrize("name", ["runs", "runs/*", "index.html", "runs/*/result.json"])
def test_a_leaderboard_is_not_written_through_links_to_what_is_elsewhere(name, world, tmp_path):
    words = ["leaderboard", str(world["all"]), "--out", str(tmp_path / "site")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    [path] = (tmp_path / "site").glob(name)
    elsewhere = Path(shutil.move(path, tmp_path / "elsewhere"))
    for file in elsewhere.rglob("*") if elsewhere.is_dir() else [elsewhere]:
        if file.is_file():
            file.write_text("mine")
    before = held(tmp_path / "elsewhere") or elsewhere.read_text()
    path.symlink_to(elsewhere)
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert (held(tmp_path / "elsewhere") or elsewhere.read_text()) == before
    assert path.exists() and not path.is_symlink()


@pytest.mark.parametrize("option", ["--markdown", "--csv"])
def test_a_table_replaces_a_table_and_no_other_file(option, world, tmp_path):
    words = ["leaderboard", str(world["all"]), option, str(tmp_path / "file")]
    for _ in range(2):
        assert CliRunner().invoke(cli, words).exit_code == 0
    (tmp_path / "file").write_text("mine")
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("content", ["mine", "[]", '{"mine": 1}', "\ud800"])
def test_json_replaces_json_of_memtk_and_no_other_file(content, world, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(content, errors="surrogatepass")
    before = path.read_bytes()
    for command in ("audit", "selftest", "check"):
        done = CliRunner().invoke(cli, [command, *DATA, "--json", str(path)])
        assert done.exit_code == 2 and "did not write it" in done.output, done.output
    assert path.read_bytes() == before
    path.write_text(json.dumps({"memtk_version": "0.1", "accepted": True}))
    done = CliRunner().invoke(cli, ["check", *DATA, "--json", str(path)])
    assert "did not write it" not in done.output


@pytest.mark.parametrize("name", ["run.json", "result.json", "study.json", "pairs.json"])
def test_json_replaces_no_record_that_a_run_lives_on(name, runs, world, tmp_path):
    run = shutil.copytree(runs["bench"], tmp_path / "run")
    if name == "study.json":
        records = {
            "schema_version": 3,
            "memtk_version": "0.1.0",
            "kind": "grid",
            "axes": [],
            "runs": [],
        }
        (run / name).write_text(json.dumps(records))
    if name == "pairs.json":
        words = ("--pairs", "2", "--controls", "1", "--export", str(tmp_path / "a.html"))
        assert CliRunner().invoke(cli, ["review", str(run), *words]).exit_code == 0
    [path] = run.rglob(name)
    before = path.read_bytes()
    for words in (("check", *DATA), ("review", str(run), "--show"), ("review", str(run), "--plan")):
        done = CliRunner().invoke(cli, [*words, "--json", str(path)])
        assert done.exit_code == 2 and path.read_bytes() == before, done.output


@pytest.mark.parametrize("words", [("check", *DATA), ("review", "{audit}", "--plan")], ids=str)
def test_json_that_a_command_wrote_it_writes_again(words, world, tmp_path):
    words = [*(word.format(**world) for word in words), "--json", str(tmp_path / "a.json")]
    for _ in range(2):
        done = CliRunner().invoke(cli, words)
        assert "did not write it" not in done.output and (tmp_path / "a.json").stat().st_size


@pytest.mark.parametrize("kind", ["pipe", "folder", "page", "empty page"])
def test_a_page_for_readers_replaces_such_a_page_alone(kind, world, tmp_path):
    path, run = tmp_path / "pairs.html", shutil.copytree(world["audit"], tmp_path / "run")
    words = ["review", str(run), "--pairs", "2", "--controls", "1", "--export", str(path)]
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "page": lambda: path.write_text("<title>mine</title>"),
        "empty page": path.touch,
    }[kind]()
    done = CliRunner().invoke(cli, words)
    if kind == "empty page":
        assert done.exit_code == 0 and "Novel or copy" in path.read_text()
        return
    assert done.exit_code == 2 and "pairs.html" in done.output, done.output
    assert (path.is_fifo(), path.is_dir()) == (kind == "pipe", kind == "folder")
    assert kind != "page" or path.read_text() == "<title>mine</title>"


def test_an_audit_in_python_replaces_its_own_files_and_no_others(world, tmp_path):
    found = memtk.AuditResult(world["audit"], read_audit(world["audit"] / "audit.json"))
    for name, write in (("a.json", found.to_json), ("a.html", found.report)):
        write(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
        for content in ("mine", "{}", "<html>"):
            (tmp_path / name).write_text(content)
            with pytest.raises(UserError, match="memtk did not write it"):
                write(tmp_path / name)
            assert (tmp_path / name).read_text() == content


def test_a_folder_whose_links_lead_round_in_circles_is_a_sentence(world, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    words = ("--similarity", "ncc", "--out", str(tmp_path / "loop"))
    sources = [w for o in ("--train", "--val", "--synthetic") for w in (o, str(world["images"]))]
    done = CliRunner().invoke(cli, ["audit", *sources, *words])
    assert done.exit_code == 2 and "loop" in done.output
    assert isinstance(done.exception, SystemExit), done.exception


def test_json_goes_into_a_device_as_it_is():
    done = CliRunner().invoke(cli, ["check", *DATA, "--json", "/dev/null"])
    assert done.exit_code in (0, 2) and "cannot write" not in done.output
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(os.name != "posix", reason="no modes here")
def test_prepared_images_of_patients_lie_in_a_folder_that_only_its_owner_enters(world):
    assert (world["audit"] / "data").stat().st_mode & 0o777 == 0o700
