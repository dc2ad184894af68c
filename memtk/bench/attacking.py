"""Runs the membership attacks of a bench on what a cell would release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memtk.bench.plan import Plan
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages, open_images
from memtk.errors import PluginError, UserError
from memtk.evaluation.calibration import CONFIDENCE
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector, on_synthetic
from memtk.events import Event
from memtk.interfaces import Attack, Generator, Images, ImageSpec, Target
from memtk.memorization import Interval, membership, scores_of
from memtk.results import (
    FewAlarms,
    Membership,
    RateInterval,
    has_arrays,
    read_record,
    write_arrays,
    write_record,
)
from memtk.training.inference import scorer

if TYPE_CHECKING:  # these import `selection`, which checks attacks
    from memtk.bench.afterwards import Outcome
    from memtk.bench.course import Course


def attack_cell(
    context: Context,
    plan: Plan,
    cell: str,
    course: Course,
    outcome: Outcome,
    first: Detector | None,
) -> dict[str, Membership]:
    """Return what each attack makes of a generator; a finished one is read, not run again.

    Members are the training images that the generator saw, non-members the validation images, of
    other patients. Of a generator that lacks what an attack uses it says so.

    Args:
        course: of the generator, which has the weights of the checkpoint that was taken.
        outcome: that checkpoint, and what is left of its samples.
        first: the run's copy detector; None in image space.

    Raises:
        UserError: if a patient is on both sides, or a setting asks for what is not there.
        PluginError: if an attack does not give one finite score for each image.
    """
    generator, training = course.generator, course.training
    validation = context.dataset.split("validation")
    folder = context.folder / "cells" / cell
    found: dict[str, Membership] = {}
    for part in plan.attacks:
        done, group = folder / "attacked" / f"{part.name}.json", arrays_of(part.name)
        stage = f"attacking {cell} by {part.name}"
        if done.exists() and (_not_run(done) or has_arrays(folder / "arrays.h5", group)):
            context.watch(Event("skip", stage))
            found[part.name] = read_record(done, Membership)
            continue
        lacks = lacking(part, type(generator))
        if lacks:
            found[part.name] = _record(training, validation, reason=lacks)
        else:
            with context.clock(stage):
                scores, how = _scores(context, plan, cell, part, course, outcome, first)
            found[part.name] = _judged(training, validation, scores, how)
            if context.devices.is_main:
                write_arrays(folder / "arrays.h5", group, scores)
        if context.devices.is_main:
            write_record(done, found[part.name])
        context.devices.wait()
    return found


def arrays_of(attack: str) -> str:
    """Return the group of a cell's arrays that holds the scores of an attack."""
    return f"attack {attack}"


def lacking(part: ConfiguredComponent, generator: type[Generator]) -> str:
    """Return why an attack cannot be run on a kind of generator, an empty text if it can."""
    lacks = [name for name in part.cls.uses if getattr(generator, name, None) is None]
    if not lacks:
        return ""
    return f"this generator offers no {' and no '.join(lacks)}"


def check_attacks(plan: Plan, *, held_out: bool) -> None:
    """See that every attack can be run on at least one generator.

    Args:
        held_out: whether the data hold patients back.

    Raises:
        UserError: for the first that cannot, saying what they lack.
    """
    generators = {part.name: part.cls for part in plan.generators.values()}
    for part in plan.attacks:
        if all(lacking(part, generator) for generator in generators.values()):
            raise UserError(
                f"attack {part.name!r} looks inside a generator that offers "
                f"{' and '.join(part.cls.uses)}; of {', '.join(generators)} none does.\n"
                "Leave it out, or say --attack gan-leaks, which needs the samples alone."
            )
        attack = part.make()
        if hasattr(attack, "check"):
            attack.check(embedder=plan.embedder is not None, held_out=held_out)


class Pool:
    """Members and non-members in one set, so that no attack is told which is which."""

    def __init__(self, *parts: Images) -> None:
        self._parts = parts

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        return self._parts[0].spec

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`, those of the second part after those of the first."""
        rows = np.asarray(indices, dtype=np.int64)
        x = torch.empty((len(rows), self.spec.channels, *self.spec.shape))
        start = 0
        for part in self._parts:
            mine = (rows >= start) & (rows < start + len(part))
            if mine.any():
                x[torch.from_numpy(mine)] = part.read((rows[mine] - start).tolist())
            start += len(part)
        return x


def _scores(
    context: Context,
    plan: Plan,
    cell: str,
    part: ConfiguredComponent,
    course: Course,
    outcome: Outcome,
    first: Detector | None,
) -> tuple[dict[str, np.ndarray], str]:
    """Return the scores of both sides, and what was compared."""
    training, validation = course.training, context.dataset.split("validation")
    held_out = context.dataset.split("held_out")
    if outcome.chosen is not None:
        home, name, label = context.folder / "cells" / cell, cell, outcome.chosen.label
        synthetic = open_images(home / "synthetic" / f"{label}.h5")
    else:
        home, name, label = course.folder, course.name, course.checkpoints[-1].label
        synthetic = course.judge.sample(outcome.trained, label)
    made: list[Detector | None] = []

    def _exposed() -> Detector | None:
        said = f"{plan.recipe.bench.embedder} on synthetic {name} {label}"
        place = home / "exposure" / label
        return on_synthetic(first, context, plan.embedder, synthetic, place, said)

    def embed(images: Images) -> np.ndarray:
        if not made:  # trained for the exposure already, unless that was not asked for
            made.append(_exposed())
        assert made[0] is not None
        return made[0].see(images, f"what is attacked in {cell}")

    attack: Attack = part.make()
    each = scorer(
        course.generator,
        seed=context.seed("attack", cell, part.name),
        batch_size=context.batch_size,
        devices=context.devices,
        name=f"{cell} by {part.name}",
        watch=context.watch,
    )
    target = Target(
        course.generator,
        synthetic,
        each,
        embed=embed if plan.embedder else None,
        similarity=plan.similarity.make() if plan.embedder else None,
        strangers=held_out if course.generator.learns_from == "training" else None,
    )
    scores = np.asarray(attack.score(target, Pool(training, validation)), dtype=np.float64)
    count = len(training) + len(validation)
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise PluginError(
            f"attack {part.name!r} gave scores of shape {scores.shape}, "
            f"{int(np.isfinite(scores).sum())} of them finite, for {count} images"
        )
    describe = getattr(attack, "describe", None)
    sides = {"members": scores[: len(training)], "non_members": scores[len(training) :]}
    for side, images in (("members", training), ("non_members", validation)):
        # numbers in place of names, so that the curve can be drawn with patients as the unit
        sides[f"{side}_patient"] = scores_of(sides[side], images.patients).owner
    return sides, describe(target) if describe else ""


def _judged(
    training: StoredImages, validation: StoredImages, scores: Mapping[str, np.ndarray], how: str
) -> Membership:
    said = membership(
        scores["members"],
        scores["non_members"],
        training.patients,
        validation.patients,
        confidence=CONFIDENCE,
    )
    few = said.tpr_at_fpr
    return _record(
        training,
        validation,
        auc=_interval(said.auc) if said.auc else None,
        few=FewAlarms(
            asked=few.requested,
            fpr=few.fpr,
            reached=few.reached,
            rate=_interval(few.rate),
            reason=few.reason,
        )
        if few
        else None,
        how=how,
        reason=said.reason,
    )


def _record(
    training: StoredImages,
    validation: StoredImages,
    *,
    auc: RateInterval | None = None,
    few: FewAlarms | None = None,
    how: str = "",
    reason: str = "",
) -> Membership:
    return Membership(
        member_images=len(training),
        member_patients=len(set(training.patients)),
        non_member_images=len(validation),
        non_member_patients=len(set(validation.patients)),
        confidence=CONFIDENCE,
        auc=auc,
        few_alarms=few,
        how=how,
        reason=reason,
    )


def _interval(found: Interval) -> RateInterval:
    return RateInterval(estimate=found.estimate, low=found.low, high=found.high)


def _not_run(path: Path) -> bool:
    """Tell whether an attack was not run, so that it left no scores."""
    found = read_record(path, Membership)
    return found.auc is None and not found.how
