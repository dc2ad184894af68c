from __future__ import annotations

import shlex

from click.testing import CliRunner

from memtk.bench import read_recipe
from memtk.cli.bench import bench
from memtk.registry import open_registry
from memtk.report.command import repeat_command

SETS = ("data.phantom.training=20", "generator.diffusion.steps=7", "ntxent3d.width=16")


def words(recipe):
    return shlex.split(repeat_command(recipe).replace("\\\n", " "))


def test_the_command_asks_for_the_very_same_recipe(monkeypatch):
    asked = {"generator": ("monai3d",), "preset": "smoke", "seed": 3, "samples": 9}
    recipe = read_recipe(open_registry(), asked, sets=SETS)
    command, *arguments = words(recipe.model_dump(mode="json"))[1:]
    assert command == "bench"
    seen = {}
    monkeypatch.setattr(bench, "callback", lambda **said: seen.update(said))
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 0, done.output
    names = {"generators": "generator", "mitigations": "mitigation", "qualities": "quality"}
    again = {
        names.get(key, key): value
        for key, value in seen.items()
        if value not in (None, ())
        and key not in {"suite", "data", "settings", "config", "out", "device", "resume", "dry_run"}
    }
    assert read_recipe(open_registry(), again, suite=seen["suite"], sets=seen["settings"]) == recipe


def test_places_of_this_machine_are_left_to_the_reader():
    recipe = {
        "suite": None,
        "bench": {"generator": ["a/copycat"], "samples": None},
        "data": {"source": "/home/x/manifest.csv", "patient_pattern": r"(p\d+)_", "shape": [4, 5]},
        "settings": {"generator": {"weights": "/home/x/net.pt", "name": "two words"}},
    }
    assert words(recipe)[2:] == [
        *("--generator", "a/copycat", "--data", "YOUR_DATA"),
        *("--set", "data.patient_pattern=...", "--set", "data.shape=4,5"),
        *("--set", "generator.weights=...", "--set", "generator.name=two words"),
    ]
