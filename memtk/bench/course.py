"""The course of a generator: trained, sampled and judged at every checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from memtk.bench.cells import cell_name
from memtk.bench.checkpoint import CheckpointEvaluator
from memtk.bench.deeds import counted, was
from memtk.bench.effects import is_afterwards, overridden, with_method
from memtk.bench.experiment import Experiment, Networks
from memtk.bench.plan import Plan
from memtk.bench.privacy import private_of
from memtk.bench.selection import chosen_training, learned_from, samples_of
from memtk.bench.suspicion import found_in
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages
from memtk.errors import UserError
from memtk.evaluation.context import Context
from memtk.evaluation.detector import CopyDetector, Detector
from memtk.interfaces import Generator, Mitigation
from memtk.noise import Noise
from memtk.results import Checkpoint, Deed
from memtk.training.job import TrainingOptions
from memtk.training.loop import Training, train


@dataclass(frozen=True)
class Course:
    """A generator that was trained, and what was found at each of its checkpoints.

    Args:
        name: of the training and the samples; several cells may share them.
        folder: where they lie.
        generator: the model, of any weights.
        training: the training images that it is judged against, N.
        trained: what came of the training.
        count: synthetic images of each checkpoint, M.
        judge: of its checkpoints.
        checkpoints: what was found; of a first generator the last one alone.
        deeds: what mitigations did on the way.
        trainings: names of all trainings that it took.
    """

    name: str
    folder: Path
    generator: Generator
    training: StoredImages
    trained: Training
    count: int
    judge: CheckpointEvaluator
    checkpoints: list[Checkpoint]
    deeds: list[Deed] = field(default_factory=list)
    trainings: tuple[str, ...] = ()


def run_course(
    context: Context,
    plan: Plan,
    cell: str,
    eyesight: Networks,
    mitigations: Sequence[ConfiguredComponent],
    *,
    first: bool = False,
) -> Course:
    """Train, sample and judge a generator; what an earlier call has finished is read.

    Args:
        cell: for which it is done.
        mitigations: that are applied; those that only choose among the samples change nothing here.
        first: it is the first generator of two; its last checkpoint alone is judged.

    Raises:
        UserError: if the data do not suffice for it, or its training fails.
    """
    bench, part = plan.recipe.bench, plan.generators[cell]
    name, folder = _place(context, plan, cell, mitigations, first)
    made: list[Mitigation] = [m.make() for m in mitigations]
    deeds: list[Deed] = []
    training = _thinned(context, plan, eyesight.first, mitigations, deeds)
    count = samples_of(plan, training)
    trainings: tuple[str, ...] = (name,)
    learned = learned_from(part, training, context.dataset)
    if teachers := [m for m in mitigations if overridden(m.cls) & {"teach"}]:
        rest = [m for m in mitigations if m not in teachers]
        teacher = run_course(context, plan, cell, eyesight, rest, first=True)
        learned = _lessons(teacher, teachers, deeds, cell)
        trainings += teacher.trainings
    generator: Generator = context.make(part, context.dataset.spec, name)
    with context.clock(f"training {name}"):
        trained = train(
            generator,
            learned,
            seed=context.seed("generator", name),
            folder=folder / "training",
            devices=context.devices,
            options=TrainingOptions(
                name=name,
                checkpoints=bench.checkpoints,
                augment=_augmentation(made),
                private=private_of(made),
            ),
            watch=context.watch,
        )
    experiment = Experiment(context, plan, name, folder, generator, training, count, tuple(made))
    judge = CheckpointEvaluator(experiment, eyesight.first, eyesight.extractor)
    checkpoints = []
    for checkpoint in trained.checkpoints[-1:] if first else trained.checkpoints:
        last = checkpoint is trained.checkpoints[-1]
        exposure = bench.exposure == "all" or (bench.exposure == "last" and last)
        checkpoints.append(judge(checkpoint, exposure=exposure, last=last))
    if with_method(made, "release"):
        deeds += _released(folder, trained, mitigations)
    return Course(
        name=name,
        folder=folder,
        generator=generator,
        training=training,
        trained=trained,
        count=count,
        judge=judge,
        checkpoints=checkpoints,
        deeds=deeds,
        trainings=trainings,
    )


def _place(
    context: Context, plan: Plan, cell: str, mitigations: Sequence[ConfiguredComponent], first: bool
) -> tuple[str, Path]:
    """Return what a training is called and where it lies: with the first cell that has it too."""
    lasting = [m for m in mitigations if not is_afterwards(m.cls)]
    name = cell_name(plan.generators[cell], lasting)
    owner = next((c for c in plan.generators if plan.series(c) == name), None)
    cells = context.folder / "cells"
    if owner is not None:
        return name, cells / owner
    return name, cells / cell / "first" if first else cells / cell


def _thinned(
    context: Context,
    plan: Plan,
    detector: Detector | None,
    mitigations: Sequence[ConfiguredComponent],
    deeds: list[Deed],
) -> StoredImages:
    """Return the training images that the mitigations leave.

    Raises:
        UserError: if they leave none.
    """
    images = chosen_training(plan, context.dataset, mitigations)
    choosing = [m for m in mitigations if overridden(m.cls) & {"choose"}]
    whole = context.dataset.split("training")
    if choosing:
        patients = len(set(images.patients)), len(set(whole.patients))
        text = (
            f"{len(images)} of {counted(len(whole), 'training image')} were used, of "
            f"{patients[0]} of {counted(patients[1], 'patient')}."
        )
        names = ", ".join(m.name for m in choosing)
        deeds.append(Deed(mitigation=names, text=text, kept=len(images), of=len(whole)))
    eyes = CopyDetector(context, detector, plan.similarity.make())
    for part in mitigations:
        if not overridden(part.cls) & {"thin"}:
            continue
        with context.clock(f"thinning by {part.name}"):
            choice = part.make().thin(images, context.dataset.split("validation"), eyes)
        before, images = len(images), images.subset(choice.indices.tolist())
        gone = before - len(images)
        text = f"{gone} of {counted(before, 'training image')} {was(gone)} left out."
        text = f"{text} {choice.why}".strip()
        deeds.append(Deed(mitigation=part.name, text=text, kept=len(images), of=before))
    if not len(images):
        raise UserError("the mitigations leave no training image")
    return images


def _lessons(
    teacher: Course, teachers: Sequence[ConfiguredComponent], deeds: list[Deed], cell: str
) -> StoredImages:
    """Return the synthetic images of a first generator that the one to judge learns from.

    Raises:
        UserError: if none is left.
    """
    last = teacher.trained.checkpoints[-1]
    label = teacher.checkpoints[-1].label
    synthetic = teacher.judge.sample(last, label)
    found = found_in(
        teacher.training, synthetic, teacher.judge.found(synthetic, label, exposure=False)
    )
    kept: np.ndarray = np.arange(len(synthetic))
    for part in teachers:
        choice = part.make().teach(synthetic, found)
        kept = np.intersect1d(kept, choice.indices)
        text = (
            f"A first generator was trained on the training images; of "
            f"{counted(len(synthetic), 'image')} that it made, {len(choice.indices)} taught the "
            f"one that is judged. {choice.why}"
        ).strip()
        deeds.append(
            Deed(mitigation=part.name, text=text, kept=len(choice.indices), of=len(synthetic))
        )
    if not len(kept):
        raise UserError(
            f"{cell}: of the {len(synthetic)} images of the first generator none is left to learn "
            f"from. {deeds[-1].text}\nLeave {teachers[-1].name} out for this generator."
        )
    return synthetic.subset(kept.tolist())


def _released(
    folder: Path, trained: Training, mitigations: Sequence[ConfiguredComponent]
) -> list[Deed]:
    """Say how many of the images of the last checkpoint were let out whatever was found."""
    label = f"step-{trained.checkpoints[-1].step:06d}.h5"
    drawn, kept = (len(StoredImages(folder / name / label)) for name in ("drawn", "synthetic"))
    names = ", ".join(m.name for m in mitigations if overridden(m.cls) & {"release"})
    text = f"{kept} of {counted(drawn, 'synthetic image')} of the last checkpoint were let out."
    return [Deed(mitigation=names, text=text, kept=kept, of=drawn)]


def _augmentation(
    mitigations: Sequence[Mitigation],
) -> Callable[[Tensor, Noise], Tensor] | None:
    active = with_method(mitigations, "augment")
    if not active:
        return None

    def augment(x: Tensor, noise: Noise) -> Tensor:
        for mitigation in active:
            x = mitigation.augment(x, noise)
        return x

    return augment
