from __future__ import annotations

import pytest

from memtk.errors import UserError
from memtk.results import RunFile, read_run, read_run_file, write_result, write_run_file


def test_a_run_has_the_results_that_are_there_and_names_those_that_are_not(tmp_path, make_result):
    write_run_file(tmp_path, RunFile(recipe={"seed": 1}, cells=["b", "a", "c"]))
    for cell in "cb":
        write_result(tmp_path / "cells" / cell / "result.json", make_result(cell=cell))
    run = read_run(tmp_path)
    assert [r.cell for r in run.results] == ["b", "c"]
    assert run.missing == ("a",) and run.file.recipe == {"seed": 1}


def test_the_run_file_says_when_and_by_which_memtk_it_was_begun(tmp_path):
    write_run_file(tmp_path, RunFile(recipe={}, cells=[]))
    first = read_run_file(tmp_path)
    assert first == read_run_file(tmp_path)
    assert first.created.endswith("UTC") and first.memtk_version


def test_a_folder_without_a_run_file_is_no_run_folder(tmp_path):
    with pytest.raises(UserError, match=r"is no run folder: it has no run\.json"):
        read_run(tmp_path)


def test_a_damaged_result_is_never_left_out_on_the_quiet(tmp_path, make_result):
    write_run_file(tmp_path, RunFile(recipe={}, cells=["a"]))
    path = tmp_path / "cells/a/result.json"
    write_result(path, make_result(cell="a"))
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"cells/a/result\.json is damaged"):
        read_run(tmp_path)
