"""From axes to cells: every combination of the values, each a recipe of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtk.bench import Plan, Recipe, make_plan, read_recipe
from memtk.config import load_toml, merge, parse_set
from memtk.errors import UserError
from memtk.registry import Registry
from memtk.results.study import StudyCell
from memtk.study.axes import Axis, Choice

LONGEST = 80
"""Characters of a cell's name; a longer one is cut and gets eight that stand for all of it."""


@dataclass(frozen=True)
class Base:
    """What all cells have in common: the arguments of `memtk.bench.read_recipe`."""

    asked: Mapping[str, Any] = field(default_factory=dict)
    suite: str | None = None
    data: str | None = None
    config: Path | None = None
    sets: tuple[str, ...] = ()

    def mitigations(self) -> tuple[str, ...]:
        """Return the mitigations that every cell applies."""
        file = load_toml(self.config) if self.config else {}
        said = merge(file, *map(parse_set, self.sets), {"bench": dict(self.asked)})
        names = said.get("bench", {}).get("mitigation", ())
        return (names,) if isinstance(names, str) else tuple(names)


@dataclass(frozen=True)
class Cell:
    """One run of a study: what is stored of it, and its plan."""

    stored: StudyCell
    plan: Plan

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.stored.name


def make_cells(base: Base, axes: Sequence[Axis], registry: Registry) -> tuple[Cell, ...]:
    """Return a cell for each combination of values, the last axis running fastest.

    Raises:
        UserError: for anything that a bench of one of them would refuse, naming the cell.
    """
    _refuse_doubles(base, axes)
    varied = {name for axis in axes for choice in axis.choices for name in choice.components}
    cells = []
    for choices in itertools.product(*(axis.choices for axis in axes)):
        values = {a.key: c.text for a, c in zip(axes, choices, strict=True)}
        name = cell_name(axes, choices)
        try:
            recipe = _recipe(base, choices, varied, registry)
            plan = make_plan(recipe, registry)
        except UserError as error:
            if len(axes) == 0:
                raise
            raise UserError(f"{error}\nThat is cell {name}.") from error
        cells.append(Cell(_stored(name, values, plan), plan))
    if doubles := {c.name for c in cells if [d.name for d in cells].count(c.name) > 1}:
        raise UserError(f"two cells would share the folder {min(doubles)}: vary them apart")
    return tuple(cells)


def cell_name(axes: Sequence[Axis], choices: Sequence[Choice]) -> str:
    """Return a folder's name made of the values: `datasize-0.5_seed-1`."""
    if not axes:
        return "run"
    pairs = [(a.stored().label, c.text) for a, c in zip(axes, choices, strict=True)]
    text = "_".join(re.sub(r"[^\w.+-]+", "-", f"{label}-{value}") for label, value in pairs)
    text = text.strip(".")
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 9]}-{_key(pairs)}"


def _refuse_doubles(base: Base, axes: Sequence[Axis]) -> None:
    """Refuse a setting that is both fixed and varied: which of them holds would be a guess."""
    fixed = {text.partition("=")[0].strip().removeprefix("bench.") for text in base.sets}
    fixed |= {key for key, value in base.asked.items() if value is not None and key != "mitigation"}
    for axis in axes:
        if axis.key in fixed:
            raise UserError(f"{axis.key} is both set and varied: leave one of them out")


def _recipe(base: Base, choices: Sequence[Choice], varied: set[str], registry: Registry) -> Recipe:
    asked = {key: value for key, value in base.asked.items() if value is not None}
    sets = list(base.sets)
    mitigations = list(base.mitigations())
    for choice in choices:
        asked |= choice.bench
        sets += choice.sets
        if "mitigation" in choice.bench:
            mitigations = list(choice.bench["mitigation"])
    for choice in choices:
        mitigations += [name for name in choice.apply if name not in mitigations]
        mitigations = [name for name in mitigations if name not in choice.leave]
    if mitigations or base.mitigations() or "mitigation" in asked:
        asked["mitigation"] = tuple(mitigations)
    here = {name for choice in choices for name in choice.components}
    # What is said of a generator that this cell does not use is meant for the others.
    sets = [s for s in sets if (table := s.partition(".")[0]) not in varied or table in here]
    return read_recipe(
        registry, asked, suite=base.suite, data=base.data, config=base.config, sets=sets
    )


def _stored(name: str, values: Mapping[str, str], plan: Plan) -> StudyCell:
    images = _key(plan.data.model_dump(mode="json"))
    detector = None
    if plan.embedder is not None:
        part = plan.embedder
        version = f"{part.entry.plugin.distribution} {part.entry.plugin.version}"
        config = part.config.model_dump(mode="json")
        detector = _key([images, part.entry.plugin.name, part.name, version, config, _seed(plan)])
    return StudyCell(
        name=name,
        values=dict(values),
        recipe=plan.recipe.model_dump(mode="json"),
        images=images,
        detector=detector,
    )


def _seed(plan: Plan) -> list[Any]:
    return [plan.recipe.bench.seed, plan.recipe.bench.embedder]


def _key(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
