from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.results import (
    RunFile,
    collect,
    has_arrays,
    read_result,
    write_arrays,
    write_result,
    write_run_file,
)
from memtk.results.collect import add, place_of
from memtk.results.redact import HIDDEN

REAL = read_result(Path(__file__).parent / "result-schema-2.json")


@pytest.fixture
def run(tmp_path):
    """A run folder with a finished cell and one that is not."""
    folder = tmp_path / "run"
    write_run_file(folder, RunFile(recipe={}, cells=["missing", "monai2d"]))
    write_result(folder / "cells/monai2d/result.json", REAL)
    (folder / "key").write_text("secret")
    (folder / "report.html").write_text("<p>pictures</p>")
    (folder / "cells/monai2d/synthetic").mkdir()
    (folder / "cells/monai2d/synthetic/step-000020.h5").write_bytes(b"images")
    return folder


def test_only_what_others_need_is_taken(run, tmp_path):
    [folder] = add(run, tmp_path / "all")
    assert [p.name for p in (tmp_path / "all").rglob("*") if p.is_file()] == ["result.json"]
    shown = folder.relative_to(tmp_path / "all").parts
    assert shown[:2] == ("phantom2d-1", "smoke") and shown[3] == "seed-0"
    assert shown[2].startswith("monai2d-")
    assert read_result(folder / "result.json") == REAL


def test_a_second_time_replaces_the_first(run, tmp_path):
    assert add(run, tmp_path / "all") == add(run, tmp_path / "all")


def test_paths_are_hidden(run, tmp_path):
    path = run / "cells/monai2d/result.json"
    tree = json.loads(path.read_text())
    tree["components"]["generator"]["config"]["weights"] = "/home/me/net.pt"
    path.write_text(json.dumps(tree))
    [folder] = add(run, tmp_path / "all")
    text = (folder / "result.json").read_text()
    assert "/home/me" not in text and HIDDEN in text


def test_the_report_is_taken_along_if_asked_for(run, tmp_path):
    [folder] = add(run, tmp_path / "all", report=True)
    assert (folder / "report.html").read_text() == "<p>pictures</p>"
    assert add(run, tmp_path / "all") == [folder]  # it shows images: it stays if asked for again
    assert not (folder / "report.html").exists()
    (run / "report.html").unlink()
    with pytest.raises(UserError, match="memtk report"):
        add(run, tmp_path / "all", report=True)


def test_arrays_that_contradict_the_result_are_not_handed_in(run, tmp_path):
    write_arrays(run / "cells/monai2d/arrays.h5", "step-000020", {"x": np.zeros(3)})
    with pytest.raises(UserError, match=r"arrays\.h5 gives the same numbers"):
        add(run, tmp_path / "all")


@pytest.mark.parametrize(("most", "kept"), [(10**6, True), (10, False)])
def test_of_large_arrays_those_of_the_last_checkpoint_are_taken(
    run, tmp_path, monkeypatch, most, kept
):
    source = run / "cells/monai2d/arrays.h5"
    for label in ("step-000010", "step-000020", "training"):
        write_arrays(source, label, {"x": np.zeros(3)})
    monkeypatch.setattr(collect, "MOST", most)
    monkeypatch.setattr(collect, "validate", lambda path: type("Fine", (), {"failed": ()}))
    [folder] = add(run, tmp_path / "all")
    assert has_arrays(folder / "arrays.h5", "step-000010") is kept
    assert has_arrays(folder / "arrays.h5", "step-000020")


def test_a_run_without_a_result_is_refused(tmp_path):
    write_run_file(tmp_path, RunFile(recipe={}, cells=["a"]))
    with pytest.raises(UserError, match="no cell of .* is finished"):
        add(tmp_path, tmp_path / "all")


def test_the_place_tells_settings_and_seeds_apart_and_nothing_else():
    other = REAL.model_copy(update={"seed": 1})
    assert place_of(other).parent == place_of(REAL).parent and place_of(other) != place_of(REAL)
    slower = REAL.model_copy(update={"timing": {"training": 9.0}, "seed": 0})
    assert place_of(slower) == place_of(REAL)
    generator = REAL.components.generator.model_copy(update={"config": {"steps": 3}})
    parts = REAL.components.model_copy(update={"generator": generator})
    assert place_of(REAL.model_copy(update={"components": parts})).parent != place_of(REAL).parent


def test_the_place_of_own_data_is_named_by_its_fingerprint_and_stays_below():
    place = place_of(REAL.model_copy(update={"suite": None, "preset": "../../etc"}))
    assert place.parts[0] == f"data-{REAL.data.fingerprint[:8]}" and ".." not in place.parts
