"""What could be noticed: planted copies found, strangers spared, and what sizes could show."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memtk.errors import UserError
from memtk.intervals import Share, share
from memtk.memorization.conformal import left_out, p_values

REPETITIONS = 4000
"""Of the simulation: the power of a rate is known to about 0.006."""


def minimum_detectable(
    found_p: np.ndarray,
    patients: int,
    tested: int,
    fdr: float = 0.1,
    power: float = 0.8,
    seed: int = 0,
) -> float | None:
    """Return the smallest copy rate that would be noticed, in (0, 1]; None if none would be.

    Noticed: Benjamini-Hochberg at `fdr` flags at least one of M synthetic images, c of them
    copies, with a probability of at least `power`; the rate is c / M. The p-values of the copies
    are drawn from those of planted copies. Those of the strangers are the conformal p-values of P
    patients: they fall into the P + 1 gaps between the similarities of the validation patients,
    whose widths are Dirichlet(1, ..., 1), and so depend on each other. Flagged is something if, for
    a level j / (P + 1), N_j p-values of the M reach it and j / (P + 1) <= fdr N_j / M. As no
    p-value is below 1 / (P + 1), at least M / ((P + 1) fdr) images must reach it.

    A patient with several images makes levels in between; they are rounded up.

    Args:
        found_p: conformal p-values of planted copies, (K,).
        patients: P, validation patients.
        tested: M, synthetic images.
        fdr: of Benjamini-Hochberg, in (0, 1).
        power: in (0, 1).
        seed: of the simulation; the same seed, the same number.

    Raises:
        UserError: if there is no planted copy, patient or synthetic image, or a level is not
            between 0 and 1.

    >>> minimum_detectable(np.full(50, 1 / 100), patients=99, tested=40)
    0.1
    >>> minimum_detectable(np.full(50, 1 / 6), patients=5, tested=40) is None
    True
    """
    found_p = np.asarray(found_p, dtype=np.float64)
    if not len(found_p) or patients < 1 or tested < 1 or not 0 < fdr < 1 or not 0 < power < 1:
        raise UserError(
            f"a detectable rate from {len(found_p)} planted copies, {patients} validation patients "
            f"and {tested} synthetic images at fdr = {fdr:g} and power = {power:g}: there must be "
            "at least one of each, and both levels must lie between 0 and 1."
        )
    gaps = patients + 1
    levels = math.floor(fdr * gaps * (1 + 1e-12))  # beyond fdr nothing is ever rejected
    if not levels:
        return None
    reached = np.ceil(found_p * gaps * (1 - 1e-12)).astype(int)  # the level of each, 1 to P + 1
    copies = np.bincount(np.minimum(reached, levels + 1), minlength=levels + 2)[1:] / len(found_p)
    needed = np.arange(1, levels + 1) / gaps * tested / fdr * (1 - 1e-12)  # of N_j

    def noticed(count: int) -> bool:
        rng = np.random.default_rng(seed)
        widths = rng.dirichlet([1.0] * levels + [gaps - levels], REPETITIONS)
        strangers = rng.multinomial(tested - count, widths)
        planted = rng.multinomial(count, copies, REPETITIONS)
        reach = (strangers + planted)[:, :levels].cumsum(1)
        return (reach >= needed).any(1).mean() >= power

    if not noticed(tested):
        return None
    low, high = 0, tested  # at 0 the chance is at most fdr; what is noticed lies in (low, high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if noticed(middle) else (middle, high)
    return high / tested


@dataclass(frozen=True)
class PlantedExposure:
    """What the embedder of the exposure sees of the images that were planted.

    Args:
        copy: similarity of the training image that each planted copy was made from to that copy,
            (K,). What else lies near it is left out: copies that the generator made would count as
            planted ones that were seen.
        validation: of each validation image to its nearest synthetic image, (V,).
    """

    copy: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True)
class PlantedScore:
    """How many of K planted copies were found, by rule, each with its exact interval.

    Args:
        p: conformal p-value of each, (K,).
        dar: similarity above the threshold of `dar`.
        conformal: p <= alpha.
        beyond: nearer to a training image than every validation image: the smallest p-value.
        exposure: the training image's own p <= alpha by its copy, as if that were the synthetic
            image nearest to it; None if the exposure was not measured.
        right_image: of those with p <= alpha, nearest to the image that was planted.
        right_patient: likewise, nearest to an image of the patient whose image was planted.
    """

    p: np.ndarray
    dar: Share
    conformal: Share
    beyond: Share
    exposure: Share | None
    right_image: Share
    right_patient: Share


@dataclass(frozen=True)
class Specificity:
    """How many images that are no copies were rightly not flagged: true negatives.

    Args:
        source: whose: "held_out" images, or "validation" images against the other patients'.
        dar: at or below the threshold of `dar`.
        conformal: p > alpha.
        exposure: likewise on the side of the training images; None if it was not measured.
    """

    source: Literal["held_out", "validation"]
    dar: Share
    conformal: Share
    exposure: Share | None


def score_planted(
    nearest: np.ndarray,
    index: np.ndarray,
    source: np.ndarray,
    training_patients: Sequence[Hashable] | None,
    *,
    cutoff: float,
    validation: np.ndarray,
    validation_patients: Sequence[Hashable] | None = None,
    alpha: float = 0.05,
    confidence: float = 0.95,
    exposure: PlantedExposure | None = None,
) -> PlantedScore:
    """Count the planted copies that each protocol finds at its own threshold.

    Each copy is looked at as if it were one more synthetic image, the only planted one. The
    intervals take the copies as independent: plant at most one of each training image.

    Args:
        nearest: similarity of each planted copy to its nearest training image, (K,).
        index: which training image that is, (K,).
        source: which training image each copy was made from, (K,).
        training_patients: the patient of each training image, (N,); if None or empty, each is
            another.
        cutoff: of the rule of Dar et al., see `memtk.memorization.cutoff`.
        validation: similarity of each validation image to its nearest training image, (V,).
        validation_patients: the patient of each, (V,); if None or empty, each is another.
        alpha: level of a single test.
        confidence: of the intervals.
        exposure: the other side; None leaves it out.

    Raises:
        UserError: if nothing was planted, the arrays do not fit, or there is no validation image.

    >>> said = score_planted(np.array([0.9, 0.2]), np.array([0, 1]), np.array([0, 2]), None,
    ...                      cutoff=0.6, validation=np.linspace(0, 0.5, 19))
    >>> said.dar.count, said.conformal.count, said.right_image.count, said.right_image.n
    (1, 1, 1, 1)
    """
    nearest, index, source = np.asarray(nearest), np.asarray(index), np.asarray(source)
    if not len(nearest) or not len(nearest) == len(index) == len(source):
        raise UserError(
            f"{len(nearest)} similarities of planted copies, {len(index)} nearest and "
            f"{len(source)} planted training images: at least one planted copy is needed, and one "
            "of each for every copy."
        )
    highest = int(max(index.max(), source.max()))
    people: Sequence[Hashable] = range(highest + 1)
    if training_patients is not None and len(training_patients):
        people = training_patients
    if highest >= len(people):
        raise UserError(
            f"training image {highest} was planted or found, but {len(people)} patients of "
            "training images are named: name the patient of each image."
        )
    p = p_values(nearest, validation, validation_patients)
    found = p <= alpha
    same = np.array([people[i] == people[j] for i, j in zip(index, source, strict=True)])
    seen = None
    if exposure is not None:
        seen = p_values(exposure.copy, exposure.validation, validation_patients) <= alpha
    return PlantedScore(
        p=p,
        dar=share(nearest > cutoff, confidence),
        conformal=share(found, confidence),
        beyond=share(nearest > np.max(validation), confidence),
        exposure=None if seen is None else share(seen, confidence),
        right_image=share((index == source)[found], confidence),
        right_patient=share(same[found], confidence),
    )


def specificity(
    held_out: np.ndarray,
    validation: np.ndarray,
    validation_patients: Sequence[Hashable] | None = None,
    *,
    cutoff: float,
    alpha: float = 0.05,
    confidence: float = 0.95,
    exposure: tuple[np.ndarray, np.ndarray] | None = None,
) -> Specificity | None:
    """Count the images of strangers that each protocol spares.

    With held-out images: those. Without: each validation image, its patient left out of the
    others. The latter shows little: how many of them have p <= alpha follows from the ranks alone
    where each patient has one image, and the threshold of `dar` was set with them.

    Args:
        held_out: similarity of each held-out image to its nearest training image, (H,); may be
            empty.
        validation: of each validation image, (V,).
        validation_patients: the patient of each, (V,); if None or empty, each is another.
        cutoff: of the rule of Dar et al., see `memtk.memorization.cutoff`.
        alpha: level of a single test.
        confidence: of the intervals.
        exposure: similarity to the nearest synthetic image of each held-out (H,) and of each
            validation image (V,), as the embedder of the exposure sees them; None leaves it out.

    Returns:
        The counts; None if there is no held-out image and one validation patient alone.

    Raises:
        UserError: if there is no validation image, or not one patient for each.

    >>> specificity(np.array([0.1, 0.9]), np.linspace(0, 0.5, 19), cutoff=0.6).conformal.rate
    0.5
    >>> specificity(np.array([]), np.linspace(0, 0.5, 20), cutoff=0.6).conformal.rate
    0.95
    """
    held_out, validation = np.asarray(held_out), np.asarray(validation)
    kept_out = len(held_out) > 0
    if validation_patients is None or not len(validation_patients):
        validation_patients = range(len(validation))
    count = len(set(validation_patients))
    if not kept_out and count == 1:
        return None

    def kept(tested: np.ndarray, strangers: np.ndarray) -> Share:
        if kept_out:
            return share(p_values(tested, strangers, validation_patients) > alpha, confidence)
        p = (1 + left_out(strangers, validation_patients)) / count
        return share(p > alpha * (1 + 1e-12), confidence)

    return Specificity(
        source="held_out" if kept_out else "validation",
        dar=share((held_out if kept_out else validation) <= cutoff, confidence),
        conformal=kept(held_out, validation),
        exposure=None if exposure is None else kept(*map(np.asarray, exposure)),
    )
