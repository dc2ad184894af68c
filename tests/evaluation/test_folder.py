from __future__ import annotations

import stat
from pathlib import Path

import pytest

from memtk.errors import UserError
from memtk.evaluation.context import check_apart, named_folder, open_run
from memtk.folders import claim

ONE, TWO = {"bench": {"seed": 0}}, {"bench": {"seed": 2}}


def test_one_bench_always_gets_the_same_folder_and_another_one_another():
    assert named_folder("x", ONE) == named_folder("x", dict(ONE)) != named_folder("x", TWO)


def test_the_same_recipe_goes_on_in_its_folder(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    key = (tmp_path / "key").read_text()
    open_run(tmp_path, ONE, ["a"], resume=True)
    assert (tmp_path / "key").read_text() == key and len(key) == 64


def test_another_run_is_refused_with_what_differs(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / "cells/a").mkdir(parents=True)
    with pytest.raises(UserError, match=r"bench\.seed was 0, now 2.*\n.*--out.*--no-resume"):
        open_run(tmp_path, TWO, ["a"], resume=True)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ({}, {"embedder mine": {"config": {"dim": 8}}}, "components.embedder mine is new"),
        ({"embedder mine": {"config": {"dim": 8}}}, {}, "components.embedder mine is gone"),
        ({"fid": {"config": {"dim": 8}}}, {"fid": {"config": {"dim": 9}}}, "dim was 8, now 9"),
        ({"fid": {"at": "x" * 999}}, {"fid": {"at": "y"}}, f"at was {'x' * 120}..., now y"),
        ({}, {str(i): {"dim": 8} for i in range(6)}, "components.3 is new; and 2 more"),
    ],
)
def test_what_differs_is_said_without_whole_tables_of_settings(tmp_path, was, now, said):
    open_run(tmp_path, ONE | {"components": was}, ["a"], resume=True)
    (tmp_path / "cells/a").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        open_run(tmp_path, ONE | {"components": now}, ["a"], resume=True)
    assert f"{said}.\n" in str(error.value)


def test_a_run_that_was_refused_before_any_work_makes_room_for_the_corrected_one(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / "data").mkdir()
    open_run(tmp_path, TWO, ["a"], resume=True)
    assert not (tmp_path / "data").exists()
    open_run(tmp_path, TWO, ["a"], resume=True)  # it is that run now


@pytest.mark.parametrize("name", ["arrays.h5", "calibration.h5", "audit.json", "selftest.json"])
def test_what_a_run_has_computed_is_never_taken_for_another_ones(tmp_path, name):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / name).write_text("of the first run")
    with pytest.raises(UserError, match="holds another run"):
        open_run(tmp_path, TWO, ["a"], resume=True)
    open_run(tmp_path, TWO, ["a"], resume=False)
    assert not (tmp_path / name).exists()


def test_no_resume_throws_the_old_run_away_and_nothing_else(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / "cells/a").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    open_run(tmp_path, TWO, ["a"], resume=False)
    assert not (tmp_path / "cells").exists() and (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_with_other_things_in_it_is_no_run_folder(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"no run folder \(thesis.tex is in it\)"):
        open_run(tmp_path, ONE, ["a"], resume=True)


def test_a_run_killed_while_its_folder_was_made_goes_on(tmp_path):
    claim(tmp_path)
    (tmp_path / "key").write_text("half")
    open_run(tmp_path, ONE, ["a"], resume=True)
    assert (tmp_path / "run.json").exists()


def test_nobody_else_may_read_the_key(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / "key").chmod(0o644)  # of an older version
    for _ in range(2):
        open_run(tmp_path, ONE, ["a"], resume=True)
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_cells_that_lost_their_run_file_are_never_taken_for_another_runs(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / "cells/a").mkdir(parents=True)
    (tmp_path / "cells/a/result.json").write_text("{}")
    (tmp_path / "run.json").unlink()
    open_run(tmp_path, TWO, ["a"], resume=True)
    assert not (tmp_path / "cells").exists()


def test_half_written_files_of_a_killed_process_are_cleared(tmp_path):
    open_run(tmp_path, ONE, ["a"], resume=True)
    (tmp_path / "cells/a").mkdir(parents=True)
    (tmp_path / "cells/a/.arrays.h5.12345678.tmp").write_text("half")
    open_run(tmp_path, ONE, ["a"], resume=True)
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_run_may_not_lie_among_its_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").mkdir()
    for folder in (tmp_path / "train", tmp_path / "train/run", Path("train/../train/run")):
        with pytest.raises(UserError, match=r"lies among the images in .*train.*--out"):
            check_apart(folder, ["manifest.csv", "train"])
    check_apart(tmp_path / "train-run", ["train", "phantom3d"])
