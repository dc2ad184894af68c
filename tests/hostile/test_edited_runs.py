"""A run that somebody edited gives a page, or a sentence that names the file."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from click.testing import CliRunner
from fake_runs import write_run

from memtk.cli import cli
from memtk.results.study import StudyAxis, StudyFile, StudyRun, write_study_file

COUNTS = ("n_copies", "n_mem", "patients_exposed", "reference_n_mem", "tau", "counts", "of none")


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("kind", ["bench", "audit"])
def test_a_run_that_counts_more_than_there_is_is_refused(kind, name, runs, tmp_path):
    folder = shutil.copytree(runs[kind], tmp_path / "run")
    path = folder / "audit.json" if kind == "audit" else next(folder.glob("cells/*/result.json"))
    tree = json.loads(path.read_text())
    place = tree if kind == "audit" else tree["data"]
    if name == "counts":
        del place["counts"]["validation"]
    elif name == "of none":
        place["counts"]["training"]["patients"] = 0
    else:
        evidence = (tree if kind == "audit" else tree["checkpoints"][-1])["evidence"]
        evidence[name] = "NaN" if name == "tau" else 10**9
    path.write_text(json.dumps(tree))
    done = CliRunner().invoke(cli, ["report", str(folder)])
    assert done.exit_code == 2 and f"{path.name} does not fit" in "".join(done.output.split("\n"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for rate in "01":
        write_run(folder / "cells" / rate, steps=(100,))
    axes = [StudyAxis(key="copycat.rate", values=["0", "1"])]
    cells = [StudyRun(name=r, values={"copycat.rate": r}, recipe={}, images="x") for r in "01"]
    write_study_file(folder, StudyFile(kind="grid", axes=axes, cells=cells))
    return folder


@pytest.mark.parametrize("value", ["x" * 1000, "", "2", "[red]", None])
def test_a_cell_of_a_study_that_lies_on_no_axis_has_its_place_in_the_report(value, study, tmp_path):
    folder = shutil.copytree(study, tmp_path / "study")
    tree = json.loads((folder / "study.json").read_text())
    pages = []
    for values in ({"copycat.rate": "0"}, {} if value is None else {"copycat.rate": value}):
        tree["cells"][0]["values"] = values
        (folder / "study.json").write_text(json.dumps(tree))
        done = CliRunner().invoke(cli, ["report", str(folder)])
        assert done.exit_code == 0, done.output
        pages.append((folder / "report.html").read_text())
    figures, edited = (page.count("data:image") for page in pages)
    assert figures == edited and (value or "") in pages[1]


def a_link(path, secret):
    path.symlink_to(secret)


def a_link_to_a_link(path, secret):
    path.with_name("link").symlink_to(secret)
    path.symlink_to(path.with_name("link"))


def a_folder(path, secret):
    path.mkdir()


def a_pipe(path, secret):
    os.mkfifo(path)


@pytest.mark.skipif(os.name != "posix", reason="no pipes here")
@pytest.mark.parametrize("make", [a_link, a_link_to_a_link, a_folder, a_pipe])
def test_a_report_that_is_taken_along_is_no_file_that_a_link_leads_to(make, runs, tmp_path):
    folder = shutil.copytree(runs["bench"], tmp_path / "run")
    (tmp_path / "secret").write_text("secret")
    (folder / "report.html").unlink(missing_ok=True)
    make(folder / "report.html", tmp_path / "secret")
    words = ["results", "add", str(folder), str(tmp_path / "all"), "--report"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and "there is no " in done.output, done.output
    assert not (tmp_path / "all").exists()
