from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.errors import UserError
from memtk.files import write_text
from memtk.folders import MARKER, claim, kind_of, making, remove, sweep, working_in


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_new_folder_and_an_empty_one_are_marked(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        claim(tmp_path / name)
        claim(tmp_path / name)
        assert kind_of(tmp_path / name) == "run" and names(tmp_path / name) == [MARKER]


@pytest.mark.parametrize("name", ["data", "report.html", "copies.csv", "key", "x.tmp", ".lock"])
def test_what_memtk_did_not_write_is_left_alone_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with (
        pytest.raises(UserError, match="is no run folder .*is in it.*--out"),
        working_in(tmp_path),
    ):
        pass
    assert names(tmp_path) == [name] and (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": []}', '"memtk_version"', ""])
def test_a_run_json_of_somebody_else_makes_no_run_folder(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match="is no run folder"):
        claim(tmp_path)


@pytest.mark.parametrize(
    ("kind", "path", "content"),
    [
        ("run", "run.json", json.dumps({"schema_version": 2, "memtk_version": "0.1"})),
        ("study", "study.json", json.dumps({"schema_version": 2, "memtk_version": "0.1"})),
        ("leaderboard", "leaderboard.csv", "table,benchmark,images,dims,N\n"),
    ],
)
def test_folders_of_older_versions_are_known(tmp_path, kind, path, content):
    (tmp_path / path).write_text(content)
    claim(tmp_path, kind)
    assert kind_of(tmp_path) == kind


def test_a_folder_of_another_kind_is_refused(tmp_path):
    claim(tmp_path, "study")
    with pytest.raises(UserError, match="is a study of memtk, no run folder"):
        claim(tmp_path)


def test_a_claim_that_was_killed_goes_on(tmp_path):
    (tmp_path / f".{MARKER}.0123abcd.tmp").write_text("mem")
    with working_in(tmp_path):
        sweep(tmp_path)
    assert names(tmp_path) == [".lock", MARKER]


def test_what_memtk_would_not_write_stays_when_a_run_is_thrown_away(tmp_path):
    for name in ("a/result.json", "a/arrays.h5", "a/.arrays.h5.0123abcd.tmp", "b/thesis.tex"):
        write_text(tmp_path / "cells" / name, "x")
    (tmp_path / "other").mkdir()
    write_text(tmp_path / "other/scan.h5", "mine")
    (tmp_path / "cells/link").symlink_to(tmp_path / "other")
    (tmp_path / "data").symlink_to(tmp_path / "other")
    remove(tmp_path, ["cells", "data"])
    assert not (tmp_path / "cells/a").exists() and not (tmp_path / "data").exists()
    assert (tmp_path / "cells/b/thesis.tex").exists() and (tmp_path / "other/scan.h5").exists()


@pytest.mark.parametrize("name", ["other.h5", "mine.json", "model.pt", "index.html", "key"])
def test_images_of_somebody_stay_beside_the_prepared_ones_of_a_run(tmp_path, name):
    for mine in ("93c61329150b2889c49d96ac52adb6be.h5", "contents.json", "images", name):
        write_text(tmp_path / "data" / mine, "x")
    remove(tmp_path, ["data"])
    assert names(tmp_path / "data") == [name]


def test_only_temporary_files_of_memtk_are_swept(tmp_path):
    for name in ("a.tmp", ".b.tmp", ".c.0123abcd.tmp", "cells/.d.0123abcd.tmp"):
        write_text(tmp_path / name, "x")
    sweep(tmp_path)
    assert names(tmp_path) == [".b.tmp", "a.tmp", "cells"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError, match="there is a file of that name"),
        working_in(tmp_path / "file"),
    ):
        pass


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    with (
        working_in(tmp_path / "run"),
        pytest.raises(UserError, match="another memtk is working"),
        working_in(tmp_path / "run"),
    ):
        pass


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError, match="a part of the path is a file"),
        working_in(tmp_path / "file" / "run"),
    ):
        pass


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    code = f"""
import os, pathlib, signal
from memtk.folders import working_in
with working_in(pathlib.Path({str(tmp_path)!r})):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another memtk is working"), working_in(tmp_path):
            pass
        other.kill()
        other.wait()
        with working_in(tmp_path):
            assert (tmp_path / ".lock").exists()


@pytest.mark.parametrize("words", [("data", "make", "phantom2d"), ("plugins", "new", "my-model")])
def test_what_another_process_is_making_at_the_moment_stays(words, tmp_path):
    mine = f".made.{os.getppid() % 2**24:06x}00.tmp"
    (tmp_path / mine).mkdir()
    (tmp_path / mine / "a").write_text("half")
    (tmp_path / ".made.ffffff00.tmp").mkdir()  # no process has such a number
    size = ("--training", "1") if words[0] == "data" else ()
    done = CliRunner().invoke(cli, [*words, str(tmp_path / "made"), *size])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine, "made"]
    assert (tmp_path / mine / "a").read_text() == "half"


def test_a_folder_that_another_process_has_made_meanwhile_stays_as_it_is(tmp_path):
    with pytest.raises(UserError, match="made is not empty"), making(tmp_path / "made") as made:
        (made / "a").write_text("mine")
        with making(tmp_path / "made") as other:
            (other / "b").write_text("other")
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "b"]
