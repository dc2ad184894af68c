"""A bench: a recipe of components, run cell by cell, resumable at any moment."""

from memtk.bench.plan import Plan, make_plan
from memtk.bench.recipe import Recipe, make_recipe, read_recipe
from memtk.bench.run import FinishedRun, describe_plan, run_bench

__all__ = [
    "FinishedRun",
    "Plan",
    "Recipe",
    "describe_plan",
    "make_plan",
    "make_recipe",
    "read_recipe",
    "run_bench",
]
