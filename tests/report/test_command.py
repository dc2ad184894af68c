from __future__ import annotations

import shlex

from click.testing import CliRunner

from memtk.bench import read_recipe
from memtk.cli import cli
from memtk.cli.bench import bench
from memtk.registry import open_registry
from memtk.report.next_steps import cell_steps
from memtk.report.provenance import repeat_audit, repeat_command
from memtk.results import Components, Policy
from memtk.testing import fakes

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
    done = CliRunner().invoke(cli, [command, *arguments])
    assert done.exit_code == 0, done.output
    names = {"generators": "generator", "mitigations": "mitigation", "qualities": "quality"}
    again = {
        names.get(key, key): value
        for key, value in seen.items()
        if value not in (None, ())
        and key not in {"suite", "data", "settings", "config", "out", "device", "resume", "dry_run"}
        and key != "workers"  # of this machine
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


AUDIT = {
    "audit": {
        "embedder": None,
        "weights": None,
        "similarity": "pearson",
        "plants": 80,
        "exposure": True,
        "batch_size": 32,
        "seed": 3,
    },
    "data": {"source": "/home/x/all.csv", "synthetic_source": "/home/x/made", "shape": [4, 5]},
    "settings": {"embedder": {"width": 16}},
    "components": {"embedder contrastive/ntxent2d": {"version": "memtk 0.1.0"}},
}


def audit_words(recipe, policy=None):
    return shlex.split(repeat_audit(recipe, policy or Policy()).replace("\\\n", " "))


def test_an_audit_is_asked_for_again_with_its_places_left_to_the_reader():
    assert audit_words(AUDIT) == [
        *("memtk", "audit", "--data", "YOUR_DATA", "--synthetic", "YOUR_SYNTHETIC_IMAGES"),
        *("--similarity", "pearson", "--plants", "80", "--seed", "3"),
        *("--set", "audit.batch_size=32", "--set", "data.shape=4,5", "--set", "embedder.width=16"),
    ]


def test_what_to_do_about_one_of_several_generators_sets_nothing_of_the_others(tmp_path):
    recipe = {
        "suite": None,
        "bench": {"generator": ["monai2d", "images"], "compare": ["images:duplicates"]},
        "data": {"source": "/home/x/all.csv"},
        "settings": {
            "monai2d": {"patch": 3},
            "images": {"percentiles": None},
            "duplicates": {"keep": 2},
        },
    }
    parts = Components(generator=fakes.used("monai2d", channels=[8]), similarity=fakes.used())
    training = {"generator": {"diffusion": [(1, {"mse": 1.0})]}}
    result = fakes.result(copies=40, dar=40, exposed=30, components=parts, training=training)
    said = [step.command for step in cell_steps(result, tmp_path, recipe, paths=False)]
    (command,) = filter(None, said)
    assert "--generator monai2d" in command and "monai2d.patch=3" in command
    assert "images" not in command and "duplicates" not in command


def test_every_source_of_an_audit_has_its_option():
    data = {"source": "/a", "validation_source": "/b", "held_out_source": "/c"}
    said = audit_words({"audit": {"exposure": False, "weights": "/home/net.pt"}, "data": data})
    assert said[2:] == [
        *("--train", "YOUR_TRAINING_IMAGES", "--val", "YOUR_VALIDATION_IMAGES"),
        *("--held-out", "YOUR_HELD_OUT_IMAGES", "--weights", "YOUR_WEIGHTS", "--no-exposure"),
    ]


def test_an_audit_of_embeddings_is_asked_for_by_its_files():
    recipe = {"audit": {"similarity": "pearson", "seed": 0}, "embeddings": ["ab", None]}
    assert audit_words(recipe)[2:4] == ["--embeddings", "YOUR_EMBEDDINGS"]
    both = audit_words(recipe | {"embeddings": ["ab", "cd"]}, Policy(max_copy_rate=0.01))
    assert "--exposure-embeddings" in both and both[-2:] == ["--policy", "YOUR_POLICY"]


def test_what_nobody_was_told_is_not_asked_for():
    recipe = read_recipe(open_registry(), {"generator": ("copycat",)}).model_dump(mode="json")
    assert "condition" not in repeat_command(recipe)
    recipe["bench"]["condition_from"] = "told.csv"
    assert "--set bench.condition_from=" in repeat_command(recipe, paths=True)
