"""Which training images a generator learns from: by their patients, and by how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memtk.bench.experiment import CellStage, Experiment, Preview, Run, State, counted, was
from memtk.bench.plan import Plan
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.errors import UserError
from memtk.evaluation.detector import CopyDetector
from memtk.interfaces import Stage
from memtk.noise import derive
from memtk.results import MitigationEffect

HOLD_BACK = (
    "--set data.held_out=0.2 (a share of the patients, where the data say no split), "
    "--set data.phantom.held_out=64 for phantoms, or mark them 'test' in the manifest"
)


class Choose(CellStage):
    """Mitigations choose among the training images by their patients."""

    name = Stage.CHOOSE

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave what is chosen, and say how much it is."""
        parts = experiment.taking_part(self.name)
        if not parts:
            return state
        before, images = state.training, _chosen(state.training, parts, run.context.root)
        patients = len(set(images.patients)), len(set(before.patients))
        text = (
            f"{len(images)} of {counted(len(before), 'training image')} were used, of "
            f"{patients[0]} of {counted(patients[1], 'patient')}."
        )
        names = ", ".join(part.name for part in parts)
        effect = MitigationEffect(mitigation=names, text=text, kept=len(images), of=len(before))
        return replace(state, training=images).with_effects(effect)

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """Choose: it takes the patients' names alone."""
        parts = experiment.taking_part(self.name)
        seed = experiment.plan.recipe.bench.seed
        return replace(preview, training=_chosen(preview.training, parts, seed))


class Thin(CellStage):
    """Mitigations choose among the training images by how they look."""

    name = Stage.THIN

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave what every mitigation keeps, one after the other, and say why."""
        validation, similarity = run.context.dataset.split("validation"), experiment.plan.similarity
        detector = CopyDetector(run.context, run.networks.first, similarity.make())
        for part in experiment.taking_part(self.name):
            before = state.training
            choice = part.make().thin(before, validation, detector)
            images = before.subset(choice.indices.tolist())
            gone = len(before) - len(images)
            text = f"{gone} of {counted(len(before), 'training image')} {was(gone)} left out."
            text = f"{text} {choice.why}".strip()
            effect = MitigationEffect(
                mitigation=part.name, text=text, kept=len(images), of=len(before)
            )
            state = replace(state, training=_some(images)).with_effects(effect)
        return state

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """Say that there may be fewer images."""
        notes = [
            f"{experiment.cell}: with fewer training images, where {part.name} leaves any out"
            for part in experiment.taking_part(self.name)
        ]
        return replace(preview, notes=(*preview.notes, *notes))


def chosen_training(plan: Plan, dataset: Dataset) -> StoredImages:
    """Return the training images that the mitigations of every generator of a plan choose.

    Raises:
        UserError: if they ask for more than there is, or leave nothing.
    """
    return _chosen(dataset.split("training"), plan.mitigations, plan.recipe.bench.seed)


def learned_from(
    generator: ConfiguredComponent, training: StoredImages, dataset: Dataset
) -> StoredImages:
    """Return the images that a generator is trained on: the training or the held-out ones.

    Raises:
        UserError: if it needs held-out images and there are none.
    """
    if generator.cls.learns_from == "training":
        return training
    images = dataset.split("held_out")
    if not len(images):
        raise UserError(
            f"{generator.name} gives back images of patients whom nobody trained on, and the data "
            f"hold none back.\nSay {HOLD_BACK}."
        )
    return images


def _chosen(
    images: StoredImages, mitigations: Sequence[ConfiguredComponent], seed: int
) -> StoredImages:
    """Return the images of the patients that mitigations choose; always the same ones."""
    for part in mitigations:
        rng = np.random.default_rng(derive(seed, "choose", part.name))
        images = images.subset(part.make().choose(images.patients, rng).tolist())
    return _some(images)


def _some(images: StoredImages) -> StoredImages:
    if not len(images):
        raise UserError("the mitigations leave no training image")
    return images
