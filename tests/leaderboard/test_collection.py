from __future__ import annotations

import json
import random
import shutil

import pytest

from memtk.errors import UserError
from memtk.leaderboard import collect, collect_files, make_boards, markdown, recomputed


def test_what_is_invalid_is_refused_by_name_and_the_rest_goes_on(write):
    folder = write(("monai2d", {}))
    (folder / "torn").mkdir()
    (folder / "torn/result.json").write_text('{"schema_version": 2')
    tree = json.loads((folder / "00/result.json").read_text())
    tree["checkpoints"][0]["protocols"]["dar"]["n_mem"]["count"] = 19
    (folder / "00/result.json").write_text(json.dumps(tree))
    found = collect(folder)
    assert {run.result.cell for run in found.runs} == {"copycat", "independent"}
    assert [refused.name for refused in found.refused] == ["00/result.json", "torn/result.json"]
    assert "dar n_mem is 0.05, but 19 of 20" in found.refused[0].reason
    assert "no JSON" in found.refused[1].reason


def test_a_file_that_cannot_be_read_is_refused(write):
    folder = write(("monai2d", {}))
    (folder / "odd/result.json").mkdir(parents=True)
    assert [refused.name for refused in collect(folder).refused] == ["odd/result.json"]


def test_the_same_file_twice_is_one_run_with_the_report_of_either(write):
    folder = write(("monai2d", {}), truth=False)
    shutil.copytree(folder / "00", folder / "01")
    (folder / "01/report.html").write_text("a report")
    [run] = collect(folder).runs
    assert run.report == folder / "01/report.html"


def test_the_report_of_a_run_folder_is_that_of_its_cells(write):
    folder = write(("monai2d", {}), truth=False)
    run = folder / "run"
    shutil.copytree(folder / "00", run / "cells" / "monai2d")
    shutil.rmtree(folder / "00")
    [found] = collect(folder).runs
    assert found.report is None
    (run / "report.html").write_text("a report")
    for named in (folder, run, run / "cells", run / "cells/monai2d/result.json"):
        [found] = collect(named).runs
        assert found.report == run / "report.html"


def test_a_line_in_a_file_says_what_own_images_are(write):
    folder = write(("monai2d", {"suite": None}), ("other", {"seed": 1}), truth=False)
    (folder / "IMAGES.txt").write_text("Knees, 40 patients\nand more\n")
    (folder.parent / "IMAGES.txt").write_text("not of this collection")
    boards = make_boards(collect(folder).runs)
    own, suite = sorted(boards, key=lambda board: board.benchmark)
    assert own.heading == f"Knees, 40 patients ({own.benchmark})"
    assert suite.heading == suite.benchmark and suite.images == ""
    text = markdown(boards)
    assert f"## {own.heading}" in text and f"## {suite.benchmark}" in text
    (folder / "01/IMAGES.txt").write_bytes(b"\xff\xfe")
    (folder / "00/IMAGES.txt").write_text("Nearer")
    assert {run.images for run in collect(folder).runs} == {"Nearer", "Knees, 40 patients"}
    (folder / "IMAGES.txt").unlink()
    assert {run.images for run in collect(folder).runs} == {"Nearer", ""}


def test_the_order_of_the_files_does_not_matter(write):
    folder = write(("monai2d", {"seed": 0}), ("monai2d", {"seed": 1}))
    files = sorted(folder.rglob("result.json"))
    first = collect_files(folder, files)
    random.Random(1).shuffle(files)
    assert collect_files(folder, files) == first


def test_the_name_of_a_run_is_safe_and_says_what_it_is(write):
    folder = write(("a", {"cell": "a=b", "suite": None, "seed": 3}), truth=False)
    [run] = collect(folder).runs
    assert run.id == f"data-a-b-seed-3-{run.digest[:8]}" and "/" not in run.id


def test_a_folder_without_results_is_an_error_of_the_user(tmp_path):
    with pytest.raises(UserError, match="holds no result.json"):
        collect(tmp_path)


def test_whoever_watches_hears_of_every_file_and_of_every_result(write):
    heard = []
    folder = write(("monai2d", {}))
    (folder / "torn").mkdir()
    (folder / "torn/result.json").write_text("{")
    recomputed(collect(folder, heard.append), heard.append)
    ends = {event.stage: (event.step, event.total) for event in heard if event.kind == "end"}
    assert [*ends.values()] == [(4, 4), (3, 3)]
    assert {event.stage for event in heard} == ends.keys()
