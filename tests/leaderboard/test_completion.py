from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.leaderboard import collect, completed, make_boards
from memtk.registry import open_registry


@pytest.fixture
def aged(write):
    """`aged(change)`: a result as it was written, and one of another seed that `change` altered."""

    def make(change, *, whole=True):
        folder = write(("monai2d", {"seed": 0}), ("monai2d", {"seed": 1}), truth=False)
        trees = [json.loads(path.read_text()) for path in sorted(folder.rglob("result.json"))]
        if whole:  # with every setting of today
            for tree in trees:
                used = tree["components"]["embedder"]
                config = open_registry().load("embedder", used["name"]).Config
                used["config"] = config.model_validate(used["config"]).model_dump(mode="json")
        change(trees[1]["components"]["embedder"])
        for path, tree in zip(sorted(folder.rglob("result.json")), trees, strict=True):
            path.write_text(json.dumps(tree))
        return collect(folder)

    return make


def tables(collection):
    return [len(row.runs) for board in make_boards(collection.runs) for row in board.rows]


def without_new_settings(used):
    del used["config"]["contents"], used["config"]["training"]["floor"]


def test_results_of_before_and_after_a_new_setting_stand_in_one_row(aged, registry):
    found = aged(without_new_settings)
    assert tables(found) == [1, 1]
    assert tables(completed(found, registry)) == [2]


def test_a_new_setting_that_was_used_keeps_results_apart(aged, registry):
    def used_it(used):
        without_new_settings(used)
        used["config"]["training"]["floor"] = 0.5

    assert tables(completed(aged(used_it), registry)) == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "ntxent9d"},
        {"plugin": "another"},
        {"distribution": "somebodys"},
        {"version": "0.0.1"},
    ],
    ids=str,
)
def test_what_is_not_the_installed_component_stays_as_it_was_written(aged, registry, change):
    def altered(used):
        without_new_settings(used)
        used |= change

    found = aged(altered)
    assert completed(found, registry) == found and tables(found) == [1, 1]


def test_settings_that_are_taken_no_more_stay_as_they_were_written(aged, registry):
    def old(used):
        without_new_settings(used)
        used["config"]["forgotten"] = 1

    found = aged(old)
    [kept] = [run for run in completed(found, registry).runs if run.result.seed == 1]
    assert kept in found.runs


def test_a_generators_seeds_of_before_and_after_are_one_entry(write, registry):
    folder = write(("monai2d", {"seed": 0}), ("monai2d", {"seed": 1}), truth=False)
    path = sorted(folder.rglob("result.json"))[1]
    tree = json.loads(path.read_text())
    config = tree["components"]["generator"]["config"]
    del config["diffusion"]["floor" if "floor" in config["diffusion"] else "clip_norm"]
    path.write_text(json.dumps(tree))
    assert tables(completed(collect(folder), registry)) == [2]


def test_nothing_is_imported_where_results_name_the_same_settings(write):
    class Never:
        def find(self, kind, name):
            raise AssertionError(f"{kind} {name}")

    found = collect(write(("monai2d", {"seed": 0}), ("monai2d", {"seed": 1})))
    assert completed(found, Never()) == found


def test_the_command_fills_them_in(aged, tmp_path):
    folder = aged(without_new_settings).runs[0].path.parents[1]
    table = tmp_path / "table.csv"
    done = CliRunner().invoke(cli, ["leaderboard", str(folder), "--csv", str(table)])
    assert done.exit_code == 0, done.output
    with open(table, newline="") as file:
        [row] = csv.DictReader(file)
    assert row["seeds"] == "0, 1"
