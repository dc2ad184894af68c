"""Statistical checks: what a protocol says of sets whose truth is known.

A protocol is a function that flags tested images at the level of 5 %; `PROTOCOLS` has those of
memtk. A similarity is checked with the conformal one, a protocol with any sound similarity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor

from memtk.interfaces import Similarity
from memtk.memorization import dar, p_values
from memtk.noise import Noise, derive
from memtk.testing.assertions import expect
from memtk.testing.case import Case

ALPHA = 0.05
"""Level of a protocol: the rate at which strangers are flagged."""

TRIALS = 200
"""Independent draws of all sets; one tested image of each is looked at."""

SURE = 1e-4
"""How seldom a sound protocol falls outside the bounds, on either side."""

WIDTH = 16
"""Values of a row."""

SIZES = (40, 39, 40)
"""Training, validation and synthetic images: N, V, M. V + 1 = 2 / ALPHA: 5 % can be hit exactly."""

UNEQUAL = ((20, 19, 80), (80, 19, 20))
"""Other sizes at which nothing may change."""


@dataclass(frozen=True)
class Sets:
    """Prepared rows of a similarity: training (N, F), validation (V, F), synthetic (M, F)."""

    training: Tensor
    validation: Tensor
    synthetic: Tensor


Protocol = Callable[[Similarity, Sets], np.ndarray]
"""Returns which of the tested images are flagged, bool (T,)."""


def conformal_copies(similarity: Similarity, sets: Sets) -> np.ndarray:
    """Flag synthetic images: nearer to a training image than a stranger's would be."""
    synthetic = similarity.compare(sets.synthetic, sets.training).amax(1)  # (M,)
    validation = similarity.compare(sets.validation, sets.training).amax(1)  # (V,)
    return p_values(synthetic.numpy(), validation.numpy()) <= ALPHA


def conformal_exposure(similarity: Similarity, sets: Sets) -> np.ndarray:
    """Flag training images: nearer to a synthetic image than a stranger's would be."""
    training = similarity.compare(sets.training, sets.synthetic).amax(1)  # (N,)
    validation = similarity.compare(sets.validation, sets.synthetic).amax(1)  # (V,)
    return p_values(training.numpy(), validation.numpy()) <= ALPHA


def reference_rule(similarity: Similarity, sets: Sets) -> np.ndarray:
    """Flag training images by the rule of Dar et al. (arXiv 2402.01054), biased by M / V."""
    strangers = similarity.compare(sets.training, sets.validation)  # (N, V)
    copies = similarity.compare(sets.training, sets.synthetic)  # (N, M)
    found = dar(
        strangers.amax(1).numpy(),
        copies.amax(1).numpy(),
        copies.amax(0).numpy(),
        similarity.compare(sets.validation, sets.training).amax(1).numpy(),
    )
    return found.memorized


def matched_rule(similarity: Similarity, sets: Sets) -> np.ndarray:
    """Flag training images by the same rule, with V of the synthetic images: its expectation."""
    few = Sets(sets.training, sets.validation, sets.synthetic[: len(sets.validation)])
    return reference_rule(similarity, few)


PROTOCOLS = {
    "conformal copies": conformal_copies,
    "conformal exposure": conformal_exposure,
    "dar": reference_rule,
    "dar-matched": matched_rule,
}
"""The protocols of memtk by name."""


def check_strangers_are_flagged_at_the_nominal_rate(
    case: Case, protocol: Protocol = conformal_copies
) -> None:
    """Independent images are flagged in about 5 % of the trials, by exact binomial bounds."""
    _check_rate(case, protocol, SIZES)


def check_set_sizes_change_no_rate(case: Case, protocol: Protocol = conformal_copies) -> None:
    """The same with four times as many synthetic as validation images, and training images."""
    for sizes in UNEQUAL:
        _check_rate(case, protocol, sizes)


def check_more_planted_copies_flag_more(case: Case, protocol: Protocol = conformal_copies) -> None:
    """With 0, 10, 20 and 40 copies among 40 images, more and more is flagged; all at the end."""
    similarity = case.make()
    found = [_flagged(similarity, protocol, planted) for planted in (0, 10, 20, 40)]
    rising = all(a < b for a, b in zip(found[:-1], found[1:], strict=True))
    expect(
        rising and found[-1] > 0.9,
        f"{case.cls.__name__}: with 0, 10, 20 and 40 copies planted among 40 images, "
        f"{', '.join(f'{share:.0%}' for share in found)} are flagged; it must rise to almost all",
    )


def check_duplicates_change_nothing(case: Case, protocol: Protocol = conformal_copies) -> None:
    """With every training image there twice, the same share of the tested images is flagged."""
    similarity = case.make()
    sets = _planted(similarity, 12)
    doubled = Sets(torch.cat([sets.training] * 2), sets.validation, sets.synthetic)
    once, twice = (float(protocol(similarity, s).mean()) for s in (sets, doubled))
    expect(
        abs(once - twice) <= 0.03,  # a percentile of 80 values lies a little beside that of 40
        f"{case.cls.__name__}: {once:.0%} are flagged, and {twice:.0%} when every training image "
        "is there twice",
    )


def _check_rate(case: Case, protocol: Protocol, sizes: tuple[int, int, int]) -> None:
    similarity, count = case.make(), 0
    rows = similarity.prepare(_draw(0, TRIALS * sum(sizes)))
    for trial in rows.split(sum(sizes)):
        count += int(protocol(similarity, Sets(*trial.split(sizes)))[0])
    low, high = (int(binom.ppf(q, TRIALS, ALPHA)) for q in (SURE, 1 - SURE))
    expect(
        low <= count <= high,
        f"{case.cls.__name__}: a stranger's image is flagged in {count} of {TRIALS} trials at "
        f"sizes {sizes}; at {ALPHA:.0%} it must be {low} to {high}",
    )


def _flagged(similarity: Similarity, protocol: Protocol, planted: int) -> float:
    """Return the share that is flagged, over five draws."""
    sets = [_planted(similarity, planted, seed) for seed in range(5)]
    return float(np.mean([protocol(similarity, one).mean() for one in sets]))


def _planted(similarity: Similarity, count: int, seed: int = 0) -> Sets:
    """Return sets in which the first `count` synthetic images are near copies."""
    training, validation, synthetic = _draw(derive(seed, "sets"), sum(SIZES)).split(SIZES)
    noise = _draw(derive(seed, "copies"), count)
    copies = training[:count] + 0.05 * noise
    rows = torch.cat([training, validation, copies, synthetic[count:]])
    return Sets(*similarity.prepare(rows).split(SIZES))


def _draw(seed: int, count: int) -> Tensor:
    """Return independent rows: float64 (count, WIDTH)."""
    return Noise(seed, [0]).normal(count, WIDTH)[0].double()


STATISTICAL = (
    check_strangers_are_flagged_at_the_nominal_rate,
    check_set_sizes_change_no_rate,
    check_more_planted_copies_flag_more,
    check_duplicates_change_nothing,
)
