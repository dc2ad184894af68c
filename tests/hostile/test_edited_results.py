"""A leaderboard is not lied to by an editor: what a rank rests on follows from the arrays."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from memtk.leaderboard import collect, make_boards, recomputed
from memtk.results.store import read_arrays, write_arrays


@pytest.fixture
def results(world, tmp_path):
    """A collection of one result with its arrays, of a generator that copies."""
    return shutil.copytree(world["all"], tmp_path / "all")


def edit(folder, change):
    [path] = folder.rglob("result.json")
    tree = json.loads(path.read_text())
    change(tree["checkpoints"][-1], tree)
    path.write_text(json.dumps(tree))


def edit_arrays(folder, change):
    [path] = folder.rglob("arrays.h5")
    arrays = read_arrays(path, "step-000100")
    change(arrays)
    write_arrays(path, "step-000100", arrays)


def refused(folder):
    found = recomputed(collect(folder))
    assert not found.runs
    return found.refused[0].reason


def rank(folder):
    [board] = make_boards(recomputed(collect(folder)).runs)
    return board.ranks[0], board.rows[0]


def test_an_honest_file_is_ranked_by_what_its_arrays_give(results):
    place, row = rank(results)
    assert str(place) == "1" and not row.unproven
    said = row.runs[0].result.last.evidence.copy_rate
    assert abs(row.copy_rate.estimate - said.estimate) < 1e-9 and said.estimate > 0.3


RATES = (
    {"estimate": 0.0, "low": 0.0, "high": 0.0},
    {"estimate": 0.0, "low": 0.0, "high": 1.0},
    {"estimate": 0.6, "low": 0.0, "high": 1.0},
)


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("schema", [3, 2])
def test_a_copy_rate_that_was_edited_is_refused(results, rate, schema):
    def change(checkpoint, tree):
        checkpoint["evidence"] |= {"copy_rate": rate, "copy_rate_upper_bound": 1.0}

    edit(results, change)
    if schema == 2:  # as if older formulas had written it
        [run] = collect(results).runs
        from dataclasses import replace

        from memtk.leaderboard import Collection

        found = recomputed(Collection((replace(run, schema=2),), ()))
        assert "copy rate" in found.refused[0].reason
    else:
        assert "does not follow from its arrays: copy rate" in refused(results)


def test_a_copy_rate_that_was_taken_out_is_refused(results):
    edit(results, lambda checkpoint, tree: checkpoint["evidence"].update(copy_rate=None))
    assert "there and not there" in refused(results)


@pytest.mark.parametrize("name", ["patients_exposed", "n_copies", "n_mem", "reference_n_mem"])
def test_counts_that_were_edited_everywhere_are_refused(results, name):
    def change(checkpoint, tree):
        checkpoint["evidence"][name] = 0
        for table in checkpoint["protocols"].values():
            for key, record in table.items():
                if key in (name, "n_mem") and record["of"]:
                    record |= {"count": 0, "value": 0.0, "interval": None}

    edit(results, change)
    assert refused(results)


def test_without_arrays_there_is_no_rank(results):
    [path] = results.rglob("arrays.h5")
    path.unlink()
    place, row = rank(results)
    assert place is None and "no rank: its arrays are not beside it" in row.remarks


def test_without_whose_the_images_are_there_is_no_rank(results):
    def change(checkpoint, tree):
        tree["data"]["counts"]["training"]["patients"] -= 1
        tree["used_training"]["patients"] -= 1

    edit(results, change)
    found = recomputed(collect(results))
    assert found.refused or found.runs[0].unproven == (
        "its arrays do not say whose the training images are"
    )


CHANGES = {
    "shorter": lambda a: a.update(synthetic_train=a["synthetic_train"][:-1]),
    "texts": lambda a: a.update(synthetic_train=a["synthetic_train"].astype("S8")),
    "nothing": lambda a: a.pop("validation_train"),
    "NaN": lambda a: a.update(synthetic_train=np.full_like(a["synthetic_train"], np.nan)),
    "far away": lambda a: a.update(synthetic_train=a["synthetic_train"] - 1),
    "another's": lambda a: a.update(validation_train=np.ones_like(a["validation_train"])),
    "two axes": lambda a: a.update(synthetic_train=a["synthetic_train"][None]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_that_were_edited_are_refused(results, change):
    edit_arrays(results, CHANGES[change])
    assert refused(results)
