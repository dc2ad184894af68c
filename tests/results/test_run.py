from __future__ import annotations

from pathlib import Path

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
from memtk.results.run import find_one, find_results, find_runs, run_of
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


@pytest.fixture
def bench(tmp_path, monkeypatch, make_result):
    """Two runs of two cells each, an audit beside; named from the folder in which they lie."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/first", "runs/second"):
        write_run_file(Path(name), RunFile(recipe={}, cells=["a", "b"]))
        for cell in "ab":
            write_result(Path(name) / f"cells/{cell}/result.json", make_result(cell=cell))
        Path(name, "report.html").touch()
    write_run_file(Path("runs/audit"), RunFile(recipe={"audit": {}}, cells=[]))
    write_audit(Path("runs/audit/audit.json"), fakes.audit())
    return Path("runs/first")


IN_A_RUN = {
    "": None,
    "run.json": None,
    "report.html": None,
    "cells/a": "a",
    "cells/b/result.json": "b",
    "../audit/audit.json": None,
}


@pytest.mark.parametrize(("inside", "cell"), IN_A_RUN.items(), ids=IN_A_RUN)
@pytest.mark.parametrize("whole", [False, True])
def test_a_file_of_a_run_means_the_run(bench, inside, cell, whole):
    path = bench / inside if not whole else (bench / inside).resolve()
    run, found = run_of(path)
    home = Path("runs/audit") if "audit" in inside else bench
    assert run.samefile(home) and run.is_absolute() == whole and found == cell


def test_a_file_of_a_cell_means_the_run_from_within_the_cell_too(bench, monkeypatch):
    monkeypatch.chdir(bench / "cells/a")
    assert run_of(Path("result.json")) == (Path("../.."), "a")


def test_what_lies_in_no_run_is_said_and_what_is_not_there(bench):
    Path("other.json").touch()
    with pytest.raises(UserError, match=r"other\.json is no run folder: it has no run\.json"):
        run_of(Path("other.json"))
    for ask in (run_of, read_run_file):
        with pytest.raises(UserError, match="there is no runs/third: name the folder of a run"):
            ask(Path("runs/third"))


def test_a_folder_of_runs_means_its_benches_and_one_run_itself(bench):
    both = [bench, Path("runs/second")]
    assert find_runs(Path("runs")) == find_runs(Path(".")) == both
    assert find_runs(bench / "cells/a") == find_runs(bench) == [bench]
    assert find_runs(Path("runs/audit")) == [Path("runs/audit")]


def test_where_one_result_is_needed_a_folder_of_one_will_do(bench):
    assert find_one(bench / "cells/a") == bench / "cells/a/result.json"
    with pytest.raises(UserError, match=r"holds 2 results: name one of them, .*cells/a/result"):
        find_one(bench)


def test_a_damaged_result_is_never_left_out_on_the_quiet(tmp_path, make_result):
    write_run_file(tmp_path, RunFile(recipe={}, cells=["a"]))
    path = tmp_path / "cells/a/result.json"
    write_result(path, make_result(cell="a"))
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"cells/a/result\.json is damaged"):
        read_run(tmp_path)
