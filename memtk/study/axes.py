"""What is varied: `KEY=V1,V2,...`, and what each value asks of a bench."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from memtk.bench import Plan, make_plan
from memtk.bench.recipe import BenchOptions
from memtk.bench.subsets import chosen_training
from memtk.config import merge, parse_set
from memtk.data.prepare import Dataset
from memtk.errors import UserError
from memtk.interfaces import PhaseSettings
from memtk.registry import Registry
from memtk.results.study import StudyAxis

COMPONENTS = ("generator", "embedder", "similarity", "mitigation", "quality")
"""Keys whose values are names of components."""

MOST = 10_000
"""Cells of a study, which are planned, a few in a hundredth of a second, before any is run."""

NOTHING = ("none", "")
"""Values of `mitigation` and `quality` that stand for an empty list."""


@dataclass(frozen=True)
class Choice:
    """What one value of an axis asks of a bench.

    Args:
        text: the value as it was typed.
        bench: keys of the table `bench`.
        sets: texts `KEY=VALUE`.
        apply: mitigations that are applied, besides those that are applied anyway.
        leave: mitigations that are left out.
    """

    text: str
    bench: Mapping[str, Any] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    apply: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()

    @property
    def components(self) -> set[str]:
        """Names of the components that it brings in, which other values may not use."""
        named = [self.bench[key] for key in COMPONENTS if key in self.bench]
        each = [n for names in named for n in ((names,) if isinstance(names, str) else names)]
        return {name.rpartition("/")[2] for name in (*each, *self.apply)}


@dataclass(frozen=True)
class Axis:
    """A setting and its values."""

    key: str
    choices: tuple[Choice, ...]

    def stored(self) -> StudyAxis:
        """Return it as `study.json` holds it."""
        return StudyAxis(key=self.key, values=[choice.text for choice in self.choices])


def parse_axis(text: str, registry: Registry) -> Axis:
    """Turn `KEY=V1,V2,...` into an axis.

    - `seed`, `generator` and every other key of the table `bench`, with or without `bench.`.
      `mitigation=none,augment,datasize+augment`: lists are joined by `+`.
    - `mitigation.NAME=off,on`: the mitigation is left out, or applied with its settings as they
      are. Any other value applies it and becomes its first setting: `mitigation.datasize=0.5`
      keeps half of the patients, `mitigation.datasize=1` all of them (the mitigation is applied
      and changes nothing, so that the cells differ by the number of patients alone).
      `mitigation.NAME.KEY=...` applies it and varies another of its settings.
    - every key of `--set`. Values that hold commas themselves are written as a TOML array of
      arrays: `data.shape=[[32,48,32],[16,24,16]]`.

    Raises:
        UserError: if there is no value, a value twice, or an unknown mitigation.
    """
    key, equals, said = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")) or not said.strip():
        raise UserError(f"--vary {text!r}: write it as KEY=V1,V2, e.g. seed=0,1,2")
    key = key.removeprefix("bench.") if key.startswith("bench.") else key
    values = _split(said.strip())
    if (double := next((v for v, count in Counter(values).items() if count > 1), None)) is not None:
        raise UserError(f"--vary {key}: {double} is there twice")
    if "" in values:
        raise UserError(f"--vary {text!r}: a value is missing")
    return Axis(key, tuple(_choice(key, value, registry) for value in values))


def parse_axes(texts: Sequence[str], registry: Registry) -> tuple[Axis, ...]:
    """Turn several of them into axes; see `parse_axis`.

    Raises:
        UserError: also if a key is varied twice, or if they make more than `MOST` cells.
    """
    axes = tuple(parse_axis(text, registry) for text in texts)
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"{key} is varied twice: give all its values in one --vary")
    if (cells := math.prod(len(axis.choices) for axis in axes)) > MOST:
        raise UserError(
            f"--vary asks for {cells:,} cells; up to {MOST:,} are taken: make several studies of it"
        )
    return axes


def _split(said: str) -> list[str]:
    """Split values at commas; those of a TOML array are its items, as they are typed in `--set`.

    >>> _split("0.25,0.5, 1"), _split("[[32,48],[16,24]]")
    (['0.25', '0.5', '1'], ['32,48', '16,24'])
    """
    if said.startswith("["):
        try:
            items = tomllib.loads(f"x = {said}")["x"]
        except (ValueError, RecursionError) as error:
            raise UserError(f"{said!r} is no TOML array: {error}") from error
        return [",".join(map(str, i)) if isinstance(i, list) else str(i) for i in items]
    return [value.strip() for value in said.split(",")]


def _choice(key: str, value: str, registry: Registry) -> Choice:
    table, _, rest = key.partition(".")
    if table == "mitigation" and rest:
        return _mitigated(rest, value, registry)
    if key in BenchOptions.model_fields:
        return Choice(value, bench={key: _of_bench(key, value)})
    if not rest:
        known = ", ".join(BenchOptions.model_fields)
        raise UserError(
            f"--vary {key}={value}: expected a key below it, as in {key}.KEY, or one of {known}"
        )
    return Choice(value, sets=(f"{key}={value}",))


def _of_bench(key: str, value: str) -> Any:
    if key == "generator":
        return (value,)
    if key in ("mitigation", "quality"):
        return () if value in NOTHING else tuple(value.split("+"))
    return parse_set(f"{key}={value}")[key]


def _mitigated(rest: str, value: str, registry: Registry) -> Choice:
    name, _, setting = rest.partition(".")
    config = getattr(registry.find("mitigation", name).load(), "Config", None)
    if value == "off":
        return Choice(value, leave=(name,))
    if value == "on":
        return Choice(value, apply=(name,))
    fields = list(config.model_fields) if config else []
    if not fields:
        raise UserError(
            f"mitigation {name!r} has no settings, and {value} was asked: "
            f"say --vary mitigation.{name}=off,on"
        )
    return Choice(value, sets=(f"{name}.{setting or fields[0]}={value}",), apply=(name,))


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
    for name, declared in type(config).model_fields.items():
        value = getattr(config, name)
        extra = declared.json_schema_extra
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
