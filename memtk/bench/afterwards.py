"""What mitigations choose by a score once a generator is trained, and the new judgement of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from memtk.bench.checkpoint import CheckpointEvaluator
from memtk.bench.course import Course
from memtk.bench.deeds import counted, was
from memtk.bench.effects import BY_SCORE, overridden
from memtk.bench.experiment import Experiment, Networks
from memtk.bench.plan import Plan
from memtk.bench.standing import standing_of
from memtk.bench.suspicion import found_in
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages, open_images, write_images
from memtk.errors import PluginError
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector
from memtk.results import Checkpoint, Deed, SelfTest
from memtk.training.loop import Checkpoint as Trained


@dataclass(frozen=True)
class Outcome:
    """What is left of a course.

    Args:
        trained: the checkpoint that is taken.
        chosen: the numbers of what is left of it, judged anew; None where nothing was chosen by a
            score, or nothing was left.
        selftest: of the judgement that counts.
        deeds: what mitigations did.
    """

    trained: Trained
    chosen: Checkpoint | None
    selftest: SelfTest | None
    deeds: list[Deed] = field(default_factory=list)


def finish(context: Context, plan: Plan, cell: str, course: Course, eyes: Networks) -> Outcome:
    """Choose a checkpoint and its images, where mitigations do, and judge them anew.

    The new judgement is by a second embedder, and after the choice of a checkpoint of fresh
    samples: those that were chosen by have no say. Where the run compares the images themselves
    there is no second embedder, and the fresh samples alone are new.
    """
    parts = plan.mitigations_of(cell)
    last = course.trained.checkpoints[-1]
    by_score = [part for part in parts if overridden(part.cls) & set(BY_SCORE)]
    if not by_score:
        return Outcome(last, None, course.judge.selftest)
    deeds: list[Deed] = []
    exposure = plan.recipe.bench.exposure != "none"
    stops, screens = ([p for p in parts if m in overridden(p.cls)] for m in ("stop", "screen"))
    trained, synthetic, judge, label = last, None, course.judge, course.checkpoints[-1].label
    if stops:
        trained = course.trained.checkpoints[_stopped(course, stops, deeds)]
        judge, label = _judge(context, plan, cell, course, eyes, eyes.first), "fresh"
        synthetic = judge.sample(trained, label, "sample anew")
    synthetic = synthetic or judge.sample(trained, label)
    kept = synthetic
    if screens:
        arrays = judge.found(synthetic, label, exposure=exposure)
        kept = _screened(course, synthetic, arrays, screens, deeds)
    if not len(kept):
        text = "Nothing is left to release: the verdict is on the images as they were."
        deeds.append(Deed(mitigation=screens[-1].name, text=text, kept=0, of=len(synthetic)))
        return Outcome(last, None, course.judge.selftest, deeds)
    second = eyes.second()
    again = _judge(context, plan, cell, course, eyes, second)
    chosen = again.anew(_written(context, kept, again.folder), trained, exposure=exposure)
    names = ", ".join(part.name for part in by_score)
    deeds.append(Deed(mitigation=names, text=_void(bool(stops), second)))
    return Outcome(trained, chosen, again.selftest, deeds)


def _judge(
    context: Context, plan: Plan, cell: str, course: Course, eyes: Networks, by: Detector | None
) -> CheckpointEvaluator:
    experiment = Experiment(
        context,
        plan,
        cell,
        context.folder / "cells" / cell,
        course.generator,
        course.training,
        course.count,
        tuple(part.make() for part in plan.mitigations_of(cell)),
    )
    return CheckpointEvaluator(experiment, by, eyes.extractor)


def _stopped(course: Course, stops: Sequence[ConfiguredComponent], deeds: list[Deed]) -> int:
    """Return which checkpoint is taken."""
    left = list(range(len(course.checkpoints)))
    for part in stops:
        choice = part.make().stop([standing_of(course.checkpoints[i]) for i in left])
        if len(choice.indices) != 1 or not 0 <= choice.indices[0] < len(left):
            raise PluginError(
                f"{part.name}: stop chose {choice.indices.tolist()} of {len(left)} checkpoints; "
                "it chooses one"
            )
        left = [left[int(choice.indices[0])]]
        steps = ", ".join(f"{c.step:,}" for c in course.checkpoints)
        text = (
            f"Of the checkpoints at the steps {steps}, step {course.checkpoints[left[0]].step:,} "
        )
        deeds.append(Deed(mitigation=part.name, text=f"{text}was taken. {choice.why}".strip()))
    return left[0]


def _screened(
    course: Course,
    synthetic: StoredImages,
    arrays: Mapping[str, np.ndarray],
    screens: Sequence[ConfiguredComponent],
    deeds: list[Deed],
) -> StoredImages:
    """Return the synthetic images that every mitigation lets out."""
    found = found_in(course.training, synthetic, arrays)
    kept: np.ndarray = np.arange(len(synthetic))
    for part in screens:
        choice = part.make().screen(synthetic, found)
        kept = np.intersect1d(kept, choice.indices)
        held = len(synthetic) - len(choice.indices)
        text = f"{held} of {counted(len(synthetic), 'synthetic image')} {was(held)} held back. "
        deeds.append(
            Deed(
                mitigation=part.name,
                text=f"{text}{choice.why}".strip(),
                kept=len(choice.indices),
                of=len(synthetic),
            )
        )
    return synthetic.subset(kept.tolist())


def _written(context: Context, kept: StoredImages, folder: Path) -> StoredImages:
    path = folder / "synthetic" / "chosen.h5"
    if context.devices.is_main and not path.exists():
        rows = (kept.read([row]) for row in range(len(kept)))
        write_images(path, rows, len(kept), kept.spec)
    context.devices.wait()
    return open_images(path)


def _void(fresh: bool, second: Detector | None) -> str:
    """Say how what was chosen by a score was tested."""
    by = [
        *(["fresh samples"] if fresh else []),
        *(["a second embedder, trained anew"] if second is not None and not second.given else []),
    ]
    return (
        "What was chosen by a score cannot be tested by that score again. The verdict rests on a "
        f"new judgement, with {' and '.join(by) or 'the same eyes: read it as no test'}."
    )
