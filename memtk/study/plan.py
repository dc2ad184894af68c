"""What a study will run: every combination of the values, settled before anything is done."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.bench import Plan, Recipe, describe_plan, make_plan, read_recipe
from memtk.components import ConfiguredComponent
from memtk.config import layered, load_toml, merge, parse_set
from memtk.data.prepare import Dataset
from memtk.errors import UserError, many
from memtk.evaluation.context import named_folder
from memtk.evaluation.dry_run import training_seconds
from memtk.events import Watch, ignore
from memtk.interfaces import ImageSpec
from memtk.registry import Registry
from memtk.results.formats import about_time
from memtk.results.study import (
    STUDY,
    StudyFile,
    StudyRun,
    cell_folder,
    failure_path,
    finished_results,
)
from memtk.study.axes import Axis, Choice, at_equal_epochs, parse_axes
from memtk.study.tasks import seconds_left
from memtk.training.devices import Devices, open_devices

NAMED = {
    "iterations": (),
    "datasize": ("mitigation.datasize={sizes}",),
    "augmentation": ("mitigation.augment=off,on",),
}
"""What the named studies vary, besides the seed."""

LONGEST = 80
"""Characters of a run's name; a longer one is cut and gets eight that stand for all of it."""


@dataclass(frozen=True)
class Base:
    """What all runs have in common: the arguments of `memtk.bench.read_recipe`."""

    asked: Mapping[str, Any] = field(default_factory=dict)
    suite: str | None = None
    data: str | None = None
    config: Path | None = None
    sets: tuple[str, ...] = ()

    def mitigations(self) -> tuple[str, ...]:
        """Return the mitigations that every run applies."""
        file = load_toml(self.config) if self.config else {}
        said = merge(file, layered(merge(*map(parse_set, self.sets)), {"bench": self.asked}))
        names = said.get("bench", {}).get("mitigation", ())
        return (names,) if isinstance(names, str) else tuple(names)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: what is stored of it, and its plan."""

    stored: StudyRun
    plan: Plan

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.stored.name


@dataclass(frozen=True)
class StudyPlan:
    """All that a study will run.

    Args:
        kind: "grid" or the name of a study.
        equal_epochs: whether steps follow the number of training images.
    """

    kind: str
    axes: tuple[Axis, ...]
    runs: tuple[PlannedRun, ...]
    equal_epochs: bool = False

    def file(self, device: str = "auto") -> StudyFile:
        """Return what `study.json` says of it."""
        return StudyFile(
            kind=self.kind,
            axes=[axis.stored() for axis in self.axes],
            cells=[run.stored for run in self.runs],
            equal_epochs=self.equal_epochs,
            device=device,
        )

    def identity(self) -> dict[str, Any]:
        """Return all that the numbers depend on."""
        runs = {run.name: run.plan.identity() for run in self.runs}
        return {"kind": self.kind, "equal_epochs": self.equal_epochs, "cells": runs}

    def default_folder(self) -> Path:
        """Return the folder that this study always gets, so that the same command finds it."""
        return named_folder(f"study-{self.kind}", self.identity())


def make_study(
    base: Base,
    vary: Sequence[str],
    registry: Registry,
    *,
    kind: str = "grid",
    seeds: str | None = None,
    sizes: str = "0.25,0.5,1",
    equal_epochs: bool | None = None,
) -> StudyPlan:
    """Return the plan of a study.

    Args:
        base: what all runs have in common.
        vary: texts `KEY=V1,V2`; see `memtk.study.axes.parse_axis`.
        kind: "grid", or a named study, which varies its own setting first and then `vary`.
        seeds: of a named study, with commas.
        sizes: of the study "datasize", shares of the training patients.
        equal_epochs: whether steps follow the number of training images; by default in the study
            "datasize" alone.

    Raises:
        UserError: for anything that a bench of one of them would refuse.
    """
    texts = [text.format(sizes=sizes) for text in NAMED.get(kind, ())] + list(vary)
    if seeds is not None:
        texts.append(f"seed={seeds}")
    if not texts:
        raise UserError(
            "what is varied? Say --vary KEY=V1,V2, e.g. --vary seed=0,1,2 "
            "--vary mitigation.augment=off,on, or name a study: iterations, datasize, augmentation"
        )
    axes = parse_axes(texts, registry)
    equal = kind == "datasize" if equal_epochs is None else equal_epochs
    return StudyPlan(kind, axes, plan_runs(base, axes, registry), equal)


def plan_runs(base: Base, axes: Sequence[Axis], registry: Registry) -> tuple[PlannedRun, ...]:
    """Return a run for each combination of values, the last axis running fastest.

    Raises:
        UserError: for anything that a bench of one of them would refuse, naming the run.
    """
    _refuse_doubles(base, axes)
    varied = {name for axis in axes for choice in axis.choices for name in choice.components}
    runs: dict[str, PlannedRun] = {}
    for choices in itertools.product(*(axis.choices for axis in axes)):
        values = {a.key: c.text for a, c in zip(axes, choices, strict=True)}
        name = run_name(axes, choices)
        if name in runs:
            raise UserError(f"two cells would share the folder {name}: vary them apart")
        try:
            plan = make_plan(_recipe(base, choices, varied, registry), registry)
        except UserError as error:
            if not axes:
                raise
            raise UserError(f"{error}\nThat is cell {name}.") from error
        runs[name] = PlannedRun(_stored(name, values, plan), plan)
    return tuple(runs.values())


def run_name(axes: Sequence[Axis], choices: Sequence[Choice]) -> str:
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
    fixed |= base.asked.keys() - {"mitigation"}
    for axis in axes:
        if axis.key in fixed:
            raise UserError(f"{axis.key} is both set and varied: leave one of them out")


def _recipe(base: Base, choices: Sequence[Choice], varied: set[str], registry: Registry) -> Recipe:
    asked, sets, common = dict(base.asked), list(base.sets), base.mitigations()
    mitigations = list(common)
    for choice in choices:
        asked |= choice.bench
        sets += choice.sets
        if "mitigation" in choice.bench:
            mitigations = list(choice.bench["mitigation"])
    for choice in choices:
        mitigations += [name for name in choice.apply if name not in mitigations]
        mitigations = [name for name in mitigations if name not in choice.leave]
    if mitigations or common or "mitigation" in asked:
        asked["mitigation"] = tuple(mitigations)
        sets = [s for s in sets if s.partition("=")[0].strip() != "bench.mitigation"]
    here = {name for choice in choices for name in choice.components}
    # What is said of a generator that this run does not use is meant for the others.
    sets = [s for s in sets if (table := s.partition(".")[0]) not in varied or table in here]
    return read_recipe(
        registry, asked, suite=base.suite, data=base.data, config=base.config, sets=sets
    )


def _stored(name: str, values: Mapping[str, str], plan: Plan) -> StudyRun:
    images = _key(plan.data.model_dump(mode="json"))
    detector = None
    if plan.embedder is not None:
        part = plan.embedder
        seed: list[Any] = [plan.recipe.bench.seed, plan.recipe.bench.embedder]
        if plan.recipe.bench.canaries:  # those that are held back are not shown to it
            seed.append(plan.recipe.bench.canaries)
        own = (part.entry.plugin.name, part.name, *part.identity().values())
        detector = _key([images, *own, seed])
    return StudyRun(
        name=name,
        values=dict(values),
        recipe=plan.recipe.model_dump(mode="json"),
        images=images,
        detector=detector,
    )


def _key(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def describe_study(
    plan: StudyPlan,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    width: int = 1,
    watch: Watch = ignore,
) -> RenderableType:
    """Return the grid with what is done of it, what the cells share, and the first cell's models.

    Args:
        width: cells that would run at a time.
        watch: told of the reading of the images.

    Raises:
        UserError: for all that the first cell's bench would refuse before training.
    """
    folder = out or plan.default_folder()
    plans = [run.plan for run in plan.runs]
    specs: list[ImageSpec] = []

    def adjust(first: Plan, dataset: Dataset) -> Plan:
        specs.append(dataset.spec)
        if plan.equal_epochs:
            plans[:] = [at_equal_epochs(each, dataset, registry) for each in plans]
        return plans[0]

    first = describe_plan(
        plan.runs[0].plan,
        registry,
        watch=watch,
        out=cell_folder(folder, plan.runs[0].name),
        device=device,
        adjust=adjust,
    )
    taken = _trainings(plan, plans, folder, specs[0], open_devices(device))
    return Group(
        _grid(plan, folder),
        *(Text(line) for line in _summary(plan, folder, width, taken)),
        Text(),
        Text(f"The first cell, {plan.runs[0].name}:", style="bold"),
        first,
    )


def _grid(plan: StudyPlan, folder: Path) -> Table:
    table = Table(title="cells", title_justify="left")
    table.add_column("", justify="right")
    for axis in plan.axes:
        table.add_column(axis.stored().label)
    table.add_column("state")
    for number, run in enumerate(plan.runs, 1):
        values = (run.stored.values[axis.key] for axis in plan.axes)
        table.add_row(str(number), *values, _state(folder, run.name))
    return table


def _state(folder: Path, name: str) -> str:
    run = cell_folder(folder, name)
    if finished_results(run) is not None:
        return "finished"
    if failure_path(folder, name).exists():
        return "failed, is tried again"
    return "begun" if (run / "run.json").exists() else "to do"


def _trainings(
    plan: StudyPlan,
    plans: Sequence[Plan],
    folder: Path,
    spec: ImageSpec,
    devices: Devices,
) -> float | None:
    """Return the seconds that the trainings of unfinished runs take; None where nobody can tell."""
    known: dict[str, float | None] = {}

    def seconds(part: ConfiguredComponent) -> float | None:
        key = _key({part.entry.name: part.identity()})
        if key not in known:
            known[key] = training_seconds(part, spec, devices)
        return known[key]

    if len({run.stored.images for run in plan.runs}) > 1:
        return None  # of the images of the other runs nothing is known yet
    times: list[float | None] = []
    detectors: set[str] = set()
    for run, each in zip(plan.runs, plans, strict=True):
        if _state(folder, run.name) == "finished":
            continue
        times += [seconds(part) for part in each.generators.values()]
        if each.embedder is None:
            continue
        bench = each.recipe.bench
        again = {"last": 1, "all": bench.checkpoints}.get(bench.exposure, 0)
        alone = run.stored.detector not in detectors
        detectors.add(str(run.stored.detector))
        if taught := seconds(each.embedder):
            times.append(taught * (alone + again * len(each.generators)))
    return None if None in times else sum(each for each in times if each is not None)


def _summary(plan: StudyPlan, folder: Path, width: int, trainings: float | None) -> list[str]:
    runs = [run.stored for run in plan.runs]
    done = sum(_state(folder, run.name) == "finished" for run in runs)
    images = {run.images for run in runs}
    detectors = {run.detector for run in runs if run.detector}
    shared = [f"the images ({_times(len(images), 'read')})"]
    if detectors:
        alone = sum(run.detector is not None for run in runs)
        trained = _times(len(detectors), "trained")
        shared.append(f"the copy detector ({trained} for {many(alone, 'cell')})")
    lines = [
        f"{many(len(runs), 'cell')}, {done} finished; shared: {', '.join(shared)}",
        f"{'one cell after another' if width == 1 else f'{width} cells at a time'}; study folder "
        f"{folder}",
    ]
    if plan.equal_epochs:
        lines.append(
            "equal epochs: the steps of the generators follow the number of training images"
        )
    left = seconds_left(folder, runs, width) if (folder / STUDY).exists() else None
    if done == len(runs):
        lines.append("nothing is left to do but the report")
    elif left is not None:
        lines.append(
            f"time left: about {about_time(left)}, by the mean of the {many(done, 'finished cell')}"
        )
    elif trainings is not None:
        lines.append(
            f"time left: about {about_time(trainings / width)} of training, by a step of each "
            "model that was taken here; sampling and comparing come on top"
        )
    else:
        lines.append("time left: not known before a cell is finished")
    return lines


def _times(count: int, verb: str) -> str:
    """Return how often something is done.

    >>> _times(1, "read"), _times(3, "trained")
    ('read once', 'trained 3 times')
    """
    return f"{verb} once" if count == 1 else f"{verb} {count} times"
