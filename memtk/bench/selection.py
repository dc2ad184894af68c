"""Which images each generator of a bench learns from, settled before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memtk.bench.attacking import check_attacks
from memtk.bench.effects import overridden
from memtk.bench.plan import Plan
from memtk.bench.privacy import check_privacy
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.errors import UserError
from memtk.interfaces import Embedder
from memtk.noise import derive

HOLD_BACK = (
    "--set data.held_out=0.2 (a share of the patients, where the data say no split), "
    "--set data.phantom.held_out=64 for phantoms, or mark them 'test' in the manifest"
)


def chosen_training(
    plan: Plan, dataset: Dataset, mitigations: Sequence[ConfiguredComponent] | None = None
) -> StoredImages:
    """Return the training images that mitigations choose by their patients; always the same ones.

    Args:
        mitigations: of a cell; None: those that every generator of the plan gets.

    Raises:
        UserError: if they ask for more than there is, or leave nothing.
    """
    images = dataset.split("training")
    for part in plan.mitigations if mitigations is None else mitigations:
        rng = np.random.default_rng(derive(plan.recipe.bench.seed, "choose", part.name))
        images = images.subset(part.make().choose(images.patients, rng).tolist())
    if not len(images):
        raise UserError("the mitigations leave no training image")
    return images


def learned_from(
    part: ConfiguredComponent, training: StoredImages, dataset: Dataset
) -> StoredImages:
    """Return the images that a generator is trained on: the training or the held-out ones.

    Raises:
        UserError: if it needs held-out images and there are none.
    """
    if part.cls.learns_from == "training":
        return training
    images = dataset.split("held_out")
    if not len(images):
        raise UserError(
            f"{part.name} gives back images of patients whom nobody trained on, and the data hold "
            f"none back.\nSay {HOLD_BACK}."
        )
    return images


def samples_of(plan: Plan, training: StoredImages) -> int:
    """Return how many synthetic images are drawn: as asked, else one for each training image."""
    return plan.recipe.bench.samples or len(training)


def check_cells(plan: Plan, dataset: Dataset) -> None:
    """See that every generator can be made, fed and sampled.

    Raises:
        UserError: for the first that cannot, with the way out.
    """
    for cell, part in plan.generators.items():
        training = chosen_training(plan, dataset, plan.mitigations_of(cell))
        count = samples_of(plan, training)
        made = part.make(dataset.spec)
        source = learned_from(part, training, dataset)
        most = made.most_samples(len(source))
        if most is not None and count > most:
            raise UserError(
                f"{part.name} can give {most} images and {count} were asked: say --samples {most}, "
                f"or hold back more patients.\nSay {HOLD_BACK}."
            )
        check_privacy(cell, made, plan.mitigations_of(cell), source)
    check_attacks(plan, held_out=dataset.counts()["held_out"]["images"] > 0)
    if plan.embedder:
        embedder: Embedder = plan.embedder.make(dataset.spec)
        if not embedder.phases():
            _check_second(plan)
    if plan.extractor and plan.extractor != plan.embedder:
        plan.extractor.make(dataset.spec)


def _check_second(plan: Plan) -> None:
    """Refuse mitigations that need a second copy detector where it would be the first again.

    Raises:
        UserError: with the way out.
    """
    assert plan.embedder is not None
    for part in plan.all_mitigations():
        if overridden(part.cls) & {"teach", "screen"}:
            raise UserError(
                f"{part.name} goes by what the copy detector finds, and what it leaves has to be "
                f"judged by a second one. {plan.embedder.name} comes trained, so that a second "
                "would see the same: name one that is trained here, or leave "
                f"{part.name} out"
            )
