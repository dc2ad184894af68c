"""Equal epochs: fewer training images get as many fewer steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from memtk.bench import Plan, make_plan
from memtk.bench.subsets import chosen_training
from memtk.config import merge
from memtk.data.prepare import Dataset
from memtk.interfaces import PhaseSettings
from memtk.registry import Registry


def at_equal_epochs(plan: Plan, dataset: Dataset, registry: Registry) -> Plan:
    """Return the plan with the steps of every generator's phases scaled to its training images.

    With all N training images the steps are those of the settings; with n of them, after the
    mitigations, `round(steps * n / N)`, and 1 at the least. So each image is shown as often, as in
    the data-size study of Dar et al. (arXiv 2402.01054), which fixes the epochs. Milestones and
    settings that count steps (`memtk.interfaces.COUNTS_STEPS`) are scaled too. The embedders are
    not touched: the copy detector is trained on all.
    """
    images = len(dataset.split("training"))
    share = len(chosen_training(plan, dataset)) / images
    if share == 1:
        return plan
    recipe = plan.recipe
    # As they are set, before a mitigation adjusts them, which it does again in the new plan.
    untouched = recipe.bench.model_copy(update={"mitigation": ()})
    bare = make_plan(recipe.model_copy(update={"bench": untouched}), registry)
    settings = dict(recipe.settings)
    for part in bare.generators.values():
        settings[part.name] = merge(settings.get(part.name, {}), scaled(part.config, share))
    return make_plan(recipe.model_copy(update={"settings": settings}), registry)


def scaled(config: BaseModel, share: float) -> dict[str, Any]:
    """Return what changes in a configuration if every phase takes `share` of its steps.

    >>> scaled(PhaseSettings.model_validate({"steps": 10}), 0.25)
    {'steps': 2}
    """
    if isinstance(config, PhaseSettings):
        return _phase(config, share)
    found: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        extra = field.json_schema_extra
        if value and isinstance(extra, Mapping) and extra.get("counts_steps"):
            found[name] = max(1, round(value * share))
        if isinstance(value, BaseModel):
            found[name] = scaled(value, share)
        elif isinstance(value, Mapping):
            below = {k: scaled(v, share) for k, v in value.items() if isinstance(v, BaseModel)}
            found[name] = below
    return {name: change for name, change in found.items() if change}


def _phase(settings: PhaseSettings, share: float) -> dict[str, Any]:
    change: dict[str, Any] = {}
    if settings.steps:
        change["steps"] = max(1, round(settings.steps * share))
    if settings.milestones and settings.milestone_unit == "steps":
        moved = {max(1, round(m * share)) for m in settings.milestones}
        change["milestones"] = tuple(sorted(moved))
    return change
