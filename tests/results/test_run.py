from __future__ import annotations

import pytest

from memtk.errors import UserError
from memtk.results import (
    RunFile,
    read_audit,
    read_result,
    read_run,
    read_run_file,
    write_audit,
    write_result,
    write_run_file,
)
from memtk.results.collect import add
from memtk.results.validate import find_results
from memtk.testing import fakes


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


@pytest.mark.parametrize("what", [read_run, find_results, lambda run: add(run, run / "into")])
def test_an_audit_where_a_bench_is_needed_is_called_one(tmp_path, what):
    write_run_file(tmp_path, RunFile(recipe={"audit": {}}, cells=[]))
    write_audit(tmp_path / "audit.json", fakes.audit())
    with pytest.raises(UserError, match="is an audit; this takes a bench"):
        what(tmp_path)
    with pytest.raises(
        UserError, match=r"audit\.json is the record of an audit; this takes a bench"
    ):
        read_result(tmp_path / "audit.json")


def test_an_audit_that_was_stopped_is_not_taken_for_a_bench(tmp_path):
    write_run_file(tmp_path, RunFile(recipe={"audit": {}}, cells=[]))
    with pytest.raises(UserError, match=r"the audit in .* is not finished: run the same command"):
        read_run(tmp_path)


def test_a_bench_where_an_audit_is_needed_is_called_one(tmp_path):
    (tmp_path / "cells").mkdir()
    with pytest.raises(UserError, match="is a bench; this takes an audit"):
        read_audit(tmp_path / "audit.json")


def test_a_damaged_result_is_never_left_out_on_the_quiet(tmp_path, make_result):
    write_run_file(tmp_path, RunFile(recipe={}, cells=["a"]))
    path = tmp_path / "cells/a/result.json"
    write_result(path, make_result(cell="a"))
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"cells/a/result\.json is damaged"):
        read_run(tmp_path)
