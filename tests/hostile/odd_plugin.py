"""A plugin with one class that gives what it may not, and how it is used."""

from __future__ import annotations

from memtk.bench import make_plan, read_recipe, run_bench

HOOKS = {
    "generator": "memtk_generators",
    "embedder": "memtk_embedders",
    "reader": "memtk_readers",
    "protocol": "memtk_protocols",
    "quality": "memtk_quality_metrics",
    "mitigation": "memtk_mitigations",
    "attack": "memtk_attacks",
    "similarity": "memtk_similarities",
    "section": "memtk_report_sections",
}
HEAD = """
import numpy as np
import torch
from memtk.interfaces import *
"""


def hook(kind, name="odd-x", target="X", more=""):
    component = f"Component({name!r}, __name__ + ':{target}', 'Odd.'{more})"
    return f"\n@hookimpl\ndef {HOOKS[kind]}():\n    return [{component}]\n"


def one_line(told, *words):
    assert "\n" not in str(told.value) and all(word in str(told.value) for word in words), told


def bench(registry, folder, sets=(), **options):
    small = ["data.phantom.training=8", "data.phantom.validation=8", "data.phantom.size=16"]
    asked = {"generator": ("copycat",), "similarity": "ncc", "preset": "smoke", **options}
    asked |= {"exposure": "none"}
    recipe = read_recipe(registry, asked, suite="phantom2d", sets=(*small, "bench.plants=0", *sets))
    return run_bench(make_plan(recipe, registry), registry, out=folder / "run", device="cpu")


MODEL = """
class X(Generator):
    {config}
    def phases(self):
        return {phases}
    def sample(self, noise):
        return {x}
"""
FINE = {"config": "pass", "phases": "()", "x": "None"}
