"""Which images each generator of a bench learns from, settled before anything is trained."""

from __future__ import annotations

import numpy as np

from memtk.bench.plan import Part, Plan
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.errors import UserError
from memtk.noise import derive

HOLD_BACK = (
    "--set data.held_out=0.2 (a share of the patients, where the data say no split), "
    "--set data.phantom.held_out=64 for phantoms, or mark them 'test' in the manifest"
)


def chosen_training(plan: Plan, dataset: Dataset) -> StoredImages:
    """Return the training images that the mitigations leave; the same at every call.

    Raises:
        UserError: if they ask for more than there is, or leave nothing.
    """
    images = dataset.split("training")
    for part in plan.mitigations:
        rng = np.random.default_rng(derive(plan.recipe.bench.seed, "choose", part.name))
        images = images.subset(part.make().choose(images.patients, rng).tolist())
    if not len(images):
        raise UserError("the mitigations leave no training image")
    return images


def learned_from(part: Part, training: StoredImages, dataset: Dataset) -> StoredImages:
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
    training = chosen_training(plan, dataset)
    count = samples_of(plan, training)
    for part in plan.generators.values():
        made = part.make(dataset.spec)
        source = learned_from(part, training, dataset)
        most = made.most_samples(len(source))
        if most is not None and count > most:
            raise UserError(
                f"{part.name} can give {most} images and {count} were asked: say --samples {most}, "
                f"or hold back more patients.\nSay {HOLD_BACK}."
            )
    if plan.embedder:
        plan.embedder.make(dataset.spec)
