"""Which training images a generator learns from: by their patients, and by how they look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memtk.bench.experiment import CellStage, Experiment, Preview, Run, State, choice_of
from memtk.bench.plan import Plan
from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages
from memtk.data.prepare import Dataset
from memtk.errors import UserError, many
from memtk.evaluation.detector import CopyDetector
from memtk.evaluation.membership import CanaryPatients, draw_canaries, largest_epsilon
from memtk.interfaces import Stage
from memtk.memorization import FEWEST_CANARIES
from memtk.noise import derive
from memtk.results import MitigationEffect


class Choose(CellStage):
    """Mitigations choose among the training images by their patients; coins hold canaries back.

    The choice comes first and does not know the coins, so that of the canaries it leaves each is in
    or out by a fair coin still.
    """

    name = Stage.CHOOSE

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave what is chosen and not held back, and say how much was chosen."""
        parts, plan = experiment.taking_part(self.name), experiment.plan
        before, chosen = state.training, _chosen(state.training, parts, run.context.root)
        canaries = canaries_of(plan, run.context.dataset).among(chosen.patients)
        state = replace(state, training=_some(canaries.leave(chosen)), canaries=canaries)
        if not parts:
            return state
        effect = MitigationEffect(
            mitigation=", ".join(part.name for part in parts),
            did="patients",
            kept=len(chosen),
            of=len(before),
            kept_patients=len(set(chosen.patients)),
            of_patients=len(set(before.patients)),
        )
        return state.with_effects(effect)

    def preview(self, experiment: Experiment, preview: Preview) -> Preview:
        """Choose: it takes the patients' names alone.

        Raises:
            UserError: if so few canaries are left that they show nothing.
        """
        parts, plan = experiment.taking_part(self.name), experiment.plan
        chosen = _chosen(preview.training, parts, plan.recipe.bench.seed)
        drawn = canaries_of(plan, preview.dataset)
        canaries = drawn.among(chosen.patients)
        left = _some(canaries.leave(chosen))
        notes = preview.notes
        if drawn.names:
            if len(canaries.names) < FEWEST_CANARIES:
                raise UserError(
                    f"{experiment.cell}: {', '.join(part.name for part in parts)} leaves "
                    f"{len(canaries.names)} of {many(len(drawn.names), 'canary')}, "
                    f"and at least {FEWEST_CANARIES} are needed to show anything: say a larger "
                    "--canaries"
                )
            notes = (*notes, _expected(canaries, len(chosen) - len(left)))
        return replace(preview, training=left, notes=notes)


def _expected(canaries: CanaryPatients, images: int) -> str:
    """Say what canaries cost, and what they could show at best."""
    away = len(canaries.held_back)
    return (
        f"{many(len(canaries.names), 'canary')}: fair coins hold {many(away, 'patient')} "
        f"({many(images, 'training image')}) back; if every guess were right, an attack would "
        f"show an epsilon of at least {largest_epsilon(len(canaries.names)):.2f}"
    )


class Thin(CellStage):
    """Mitigations choose among the training images by how they look."""

    name = Stage.THIN

    def __call__(self, experiment: Experiment, state: State, run: Run) -> State:
        """Leave what every mitigation keeps, one after the other, and say why."""
        validation, similarity = run.context.dataset.split("validation"), experiment.plan.similarity
        detector = CopyDetector(run.context, run.networks.first, similarity.make())
        for part in experiment.taking_part(self.name):
            before = state.training
            thinned = part.make().thin(before, validation, detector)
            choice = choice_of(part, "thin", thinned, len(before))
            images = before.subset(choice.indices.tolist())
            effect = MitigationEffect(
                mitigation=part.name,
                did="thinned",
                kept=len(images),
                of=len(before),
                why=choice.why,
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


def canaries_of(plan: Plan, dataset: Dataset) -> CanaryPatients:
    """Return the canaries of a bench, the same for all of its cells and networks.

    Raises:
        UserError: if there are fewer training patients, or they could show nothing.
    """
    bench = plan.recipe.bench
    return draw_canaries(dataset.split("training"), bench.canaries, bench.seed)


def available_training(plan: Plan, dataset: Dataset) -> StoredImages:
    """Return the training images without the canaries that are held back from every network."""
    return canaries_of(plan, dataset).leave(dataset.split("training"))


def chosen_training(plan: Plan, dataset: Dataset) -> StoredImages:
    """Return the training images that the mitigations of every generator of a plan choose.

    Raises:
        UserError: if they ask for more than there is, or leave nothing.
    """
    chosen = _chosen(dataset.split("training"), plan.mitigations, plan.recipe.bench.seed)
    return _some(canaries_of(plan, dataset).leave(chosen))


def learned_from(
    generator: ConfiguredComponent, training: StoredImages, dataset: Dataset
) -> StoredImages:
    """Return the images that a generator is trained on: the training or the held-out ones."""
    return training if generator.cls.learns_from == "training" else dataset.split("held_out")


def check_samples(
    plan: Plan, generator: ConfiguredComponent, source: StoredImages, count: int, most: int | None
) -> None:
    """Refuse a generator that learns from images that are missing, or cannot give so many.

    Args:
        count: samples that are asked for.
        most: that it can give; None for any number.

    Raises:
        UserError: with the whole way out.
    """
    given = most if most is not None else count
    if generator.cls.learns_from == "training":
        if count > given:
            raise UserError(
                f"{generator.name} can give {given} images and {count} were asked: say --samples "
                f"{given}"
            )
    elif count > given or not len(source):
        fewer = f"say --samples {given}, or " if given and len(source) else ""
        raise UserError(
            f"{generator.name} takes an image of a patient whom nobody trained on for each of "
            f"{many(count, 'sample')}, and {len(source) or 'none'} are held back.\nTo run it, "
            f"{fewer}"
            f"{_hold_back(plan, count)}."
        )


def _hold_back(plan: Plan, count: int) -> str:
    """Say how to hold back as many images as there are samples, none trained on more than that."""
    data = plan.data
    if data.is_phantom:
        return f"hold back that many: --set data.phantom.held_out={count}"
    # as many patients as are trained on, and some more where patients have more than one image
    share = math.floor(20 * (1 - data.validation) / 2 + 1) / 20
    return (
        f"mark patients with {many(count, 'image')} 'test' in the manifest, or have all patients "
        f"split anew: --set data.resplit=true --set data.held_out={share:g}"
    )


def _chosen(
    images: StoredImages, mitigations: Sequence[ConfiguredComponent], seed: int
) -> StoredImages:
    """Return the images of the patients that mitigations choose; always the same ones."""
    for part in mitigations:
        rng = np.random.default_rng(derive(seed, "choose", part.name))
        chosen = part.make().choose(images.patients, rng)
        images = images.subset(choice_of(part, "choose", chosen, len(images)).indices.tolist())
    return _some(images)


def _some(images: StoredImages) -> StoredImages:
    if not len(images):
        raise UserError("the mitigations leave no training image")
    return images
