"""Which training patients are exposed: one test a patient, not one an image."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memtk.errors import UserError
from memtk.memorization.at_least import at_least
from memtk.memorization.conformal import benjamini_hochberg
from memtk.memorization.copy_rate import ThresholdRule, best_threshold
from memtk.memorization.patients import PatientGroup


@dataclass(frozen=True)
class PatientTest:
    """What is said of each of T training patients: is one of its images exposed?

    Args:
        p: p-value of each, (T,), in (0, 1].
        names: who they are, in the order in which they first appear.
        flagged: which pass Benjamini-Hochberg, bool (T,).
        n_flagged: how many.
        min_detectable: the smallest number of patients that can be flagged at these sizes; T + 1 if
            none.
        can_reject: whether any could have been flagged.
        min_p: the smallest p-value of each that the numbers of images allow, (T,).
    """

    p: np.ndarray
    names: tuple[Hashable, ...]
    flagged: np.ndarray
    n_flagged: int
    min_detectable: int
    can_reject: bool
    min_p: np.ndarray


def exposed_patients(
    test: np.ndarray,
    patients: Sequence[Hashable] | None,
    validation: np.ndarray,
    validation_patients: Sequence[Hashable] | None,
    *,
    fdr: float = 0.1,
) -> PatientTest:
    """Test each training patient against the validation patients.

    The statistic of a patient is the largest e(x) over its images, which grows with their number.
    So a training patient with n images is compared with n images of each validation patient: of
    one with m >= n images, k of which reach it, a random n of them do with the probability
    h = 1 - C(m - k, n) / C(m, n). Then

        p = (1 + sum over validation patients of h) / (P + 1),

    where one with fewer than n images counts as reaching it, h = 1. Where that leaves too little,
    the images of the training patient are split into B = ceil(n / b) groups of b or fewer, h is
    that of b images, and p is B times as large (Bonferroni); b is the one that allows the smallest
    p-value, which the numbers of images decide and the similarities do not.

    Valid if patients are exchangeable, and so are the images of one patient, whose number says
    nothing of their similarities: P(p <= a) <= a however alike the images of a patient are. It is
    exact with equal numbers, conservative otherwise. These are hierarchical conformal p-values
    (Lee, Barber and Willett, arXiv 2306.06342), of n images at once; with n = 1 they are those of
    `p_values`.

    Args:
        test: e(x), similarity of each training image to its nearest synthetic image, (N,).
        patients: the patient of each, (N,); if None or empty, each is another.
        validation: of each validation image to its nearest of the same synthetic images, (V,).
        validation_patients: the patient of each, (V,); likewise.
        fdr: false discovery rate among the flagged patients, in (0, 1).

    Raises:
        UserError: if a set is empty or does not fit its patients, or fdr is not between 0 and 1.

    >>> found = exposed_patients(np.array([0.9, 0.1, 0.2, 0.3]), ["a", "a", "b", "b"],
    ...     np.linspace(0, 0.5, 38), [i // 2 for i in range(38)])
    >>> found.names, found.p.tolist(), found.flagged.tolist()
    (('a', 'b'), [0.05, 0.45], [True, False])
    """
    if not 0 < fdr < 1:
        raise UserError(f"fdr = {fdr:g}: it must lie between 0 and 1.")
    tested = PatientGroup(test, patients, "training images")
    others = PatientGroup(validation, validation_patients, "validation images")
    largest, images, sizes = tested.largest(), tested.sizes, others.sizes  # (T,), (T,), (P,)
    strangers = [np.sort(others.similarity[others.owner == i]) for i in range(len(sizes))]
    p, min_p = np.empty(len(images)), np.empty(len(images))
    for n in np.unique(images):
        chosen = images == n
        factor, group = _grouping(int(n), sizes)
        total = np.full(int(chosen.sum()), 1.0 + np.count_nonzero(sizes < group))
        tables = {m: _reaching(m, group) for m in np.unique(sizes[sizes >= group]).tolist()}
        for rows in strangers:
            if len(rows) >= group:
                reached = len(rows) - np.searchsorted(rows, largest[chosen], side="left")
                total += tables[len(rows)][reached]
        p[chosen] = np.minimum(factor * total / (len(sizes) + 1), 1)
        min_p[chosen] = _min_p(factor, group, sizes)
    flagged = benjamini_hochberg(p, fdr)
    limits = np.arange(1, len(p) + 1) * fdr / len(p) * (1 + 1e-12)
    able = np.flatnonzero(np.sort(min_p) <= limits)
    return PatientTest(
        p=p,
        names=tested.names,
        flagged=flagged,
        n_flagged=int(flagged.sum()),
        min_detectable=int(able[0]) + 1 if len(able) else len(p) + 1,
        can_reject=bool(len(able)),
        min_p=min_p,
    )


def _grouping(n: int, sizes: np.ndarray) -> tuple[int, int]:
    """Return into how many groups n images are split and of how many; the fewest of the best."""
    options = [(math.ceil(n / b), b) for b in {n, *sizes[sizes < n].tolist()}]
    return min(options, key=lambda split: (_min_p(split[0], split[1], sizes), split))


def _min_p(factor: int, group: int, sizes: np.ndarray) -> float:
    """Return the smallest p-value that the numbers of images allow."""
    return min(factor * (1 + np.count_nonzero(sizes < group)) / (len(sizes) + 1), 1.0)


def _reaching(m: int, n: int) -> np.ndarray:
    """Return the chance that a random n of m images hold one of k, for k = 0 ... m."""
    return np.array([1 - math.comb(m - k, n) / math.comb(m, n) for k in range(m + 1)])


@dataclass(frozen=True)
class Undetectable:
    """How many patients a test cannot see, whatever their similarities.

    Args:
        most: so many may be exposed, every image of theirs verbatim, without one being flagged.
        never: so many are not flagged even if all T are exposed.
    """

    most: int
    never: int


def undetectable(min_p: np.ndarray, fdr: float = 0.1) -> Undetectable:
    """Return how many exposed patients Benjamini-Hochberg may miss in the worst case.

    The worst m patients are those with the largest smallest p-values: those with many images, who
    are compared with few validation patients. With the other T - m at p = 1 nothing is flagged
    while no k-th smallest of the m is at most `k fdr / T`.

    Args:
        min_p: the smallest p-value of each patient, (T,); see `PatientTest`.
        fdr: of Benjamini-Hochberg.

    >>> undetectable(np.array([0.01] * 6 + [0.2] * 4))
    Undetectable(most=4, never=4)
    """
    worst = -np.sort(-np.asarray(min_p))
    low, high = 0, len(worst)  # one more makes no rejection undone
    while low < high:
        middle = (low + high + 1) // 2
        alone = np.r_[worst[:middle], np.ones(len(worst) - middle)]
        low, high = (low, middle - 1) if benjamini_hochberg(alone, fdr).any() else (middle, high)
    return Undetectable(low, int(np.count_nonzero(~benjamini_hochberg(worst, fdr))))


@dataclass(frozen=True)
class ExposedInterval:
    """Between `low` and `high` of `total` training patients are exposed.

    Args:
        low: at least so many.
        high: at most so many, if exposed patients are as recognisable as the planted ones.
        total: T.
        confidence: that both are right.
        threshold: e(x) above which a patient was counted for `high`.
        false_positive_rate: expected share of strangers above it.
        sensitivity: share of the planted exposures above it; see `tipping_point`.
        estimate: how many are exposed by that sensitivity, rounded down.
    """

    low: int
    high: int
    total: int
    confidence: float
    threshold: float
    false_positive_rate: float
    sensitivity: float
    estimate: int


def exposed_interval(
    tested: PatientGroup,
    strangers: PatientGroup,
    planted: PatientGroup,
    *,
    sure: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> ExposedInterval:
    """Return how many training patients are exposed, at least and at most.

    The lower end needs no model: `at_least`, or as many as are `sure` by name. The upper end is
    that of the rate of exposed patients, as for the copy rate (Rogan and Gladen; melding, see
    `copy_rate`): counted are the patients with an image above a threshold, which is chosen from
    strangers and planted exposures alone; the sensitivity is that of planted exposures. It never
    reaches zero: what no test could have seen is not excluded.

    Of patients with several images the largest e counts. A stranger's is that of as many random
    images as the training patient with the fewest has, so that fewer strangers are expected above
    the threshold than there may be and the upper end errs upwards.

    Args:
        tested: e(x) of the training images and their patients.
        strangers: e(v) of the validation images and theirs.
        planted: similarity of training images to their planted copies, and the patients of these.
            Not to the nearest synthetic image if that is nearer: copies that the generator made
            would raise the sensitivity by which they are counted, and hide themselves.
        sure: training patients that are exposed for certain, see `tail_test`: named with a quarter
            of what is missing to the confidence.
        confidence: of the interval; each end errs with half of what is missing.
        seed: of the draws.

    Raises:
        UserError: if the confidence is not between 0 and 1.

    >>> strangers = PatientGroup(np.linspace(0, 0.9, 99))
    >>> tested = PatientGroup(np.r_[np.full(20, 0.99), np.linspace(0, 0.9, 80)])
    >>> found = exposed_interval(tested, strangers, PatientGroup(np.full(100, 0.99)))
    >>> found.low <= 20 <= found.high, found.total
    (True, 100)
    """
    end = (1 + confidence) / 2
    counted = 1 - (1 - end) / 2  # the other half of what is missing is for the names
    least = at_least(tested, strangers, confidence=counted, seed=seed, lists=False)
    low = max(least.count, sure)
    rng = np.random.default_rng(seed)
    fewest = int(tested.sizes.min())
    few = strangers.largest()[strangers.sizes < fewest]
    single = PatientGroup(np.r_[few, strangers.ranked_largest(fewest)])
    units = tested.largest()
    threshold = best_threshold(single, planted, len(units), confidence=confidence, seed=seed)
    rule = ThresholdRule(threshold, single, planted)
    flagged = int(np.count_nonzero(units > threshold))
    rate = rule.end(rng, flagged, len(units), level=end, draws=10_000, above=True)
    high = max(low, int(rate * len(units) + 1e-9))
    return ExposedInterval(
        low=low,
        high=high,
        total=len(units),
        confidence=confidence,
        threshold=threshold,
        false_positive_rate=rule.false_positive_rate,
        sensitivity=rule.sensitivity,
        estimate=int(rule.estimate(flagged / len(units)) * len(units) + 1e-9),
    )


Drop = Literal["flagged", "alpha"]
"""What is withheld: what is named as a copy, sure or suspect, or all with p <= alpha."""

IDENTICAL = "synthetic_identical"
"""Beside the arrays of a judgement: which synthetic images are a training image, bool (M,)."""

EXPOSED_IDENTICAL = "exposure_train_identical"
"""Likewise: which training images are a synthetic image, bool (N,)."""


def withhold(
    arrays: Mapping[str, np.ndarray], drop: Drop = "flagged", alpha: float = 0.05
) -> np.ndarray:
    """Return which synthetic images are withheld, bool (M,).

    Those that are flagged as copies ("flagged"; also where the groups compared are so unlike that
    nothing is named: an image too many costs little), or all with p <= alpha ("alpha"), by the
    model or by rank, which takes about 5 in 100 innocent ones along; those that are identical to a
    training image; and the nearest synthetic image of each training image that is flagged as
    exposed, or whose patient is, where the exposure was tested.

    Args:
        arrays: of an evaluation, and `IDENTICAL` if it is known.
        drop: which.
        alpha: for "alpha".

    >>> found = {"copies_flagged": np.array([True, False]), "copies_p": np.array([0.01, 0.04])}
    >>> withhold(found).tolist(), withhold(found, "alpha").tolist()
    ([True, False], [True, True])
    """
    chosen = arrays.get("copies_near", arrays["copies_flagged"]).astype(bool)  # (M,)
    chosen = chosen | arrays.get(IDENTICAL, np.zeros(len(chosen))).astype(bool)
    if drop == "alpha":
        chosen = chosen | below(arrays, "copies", alpha)
    if "exposure_flagged" in arrays:
        exposed = arrays.get("exposure_near", arrays["exposure_flagged"]).astype(bool)  # (N,)
        exposed = exposed | arrays["exposure_patient_flagged"].astype(bool)
        if drop == "alpha":
            exposed = exposed | below(arrays, "exposure", alpha)
        chosen[arrays["exposure_train_synthetic_index"][exposed]] = True
    return chosen


def below(arrays: Mapping[str, np.ndarray], side: str, alpha: float) -> np.ndarray:
    """Return which units of a side have a p-value up to alpha, by the model or by rank, bool."""
    p = arrays[f"{side}_p"]
    found: np.ndarray = np.minimum(p, arrays.get(f"{side}_rank_p", p)) <= alpha
    return found
