"""Which training patients are exposed: one test a patient, not one an image."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from memtk.errors import UserError
from memtk.memorization.conformal import benjamini_hochberg
from memtk.memorization.patients import owners


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
    """

    p: np.ndarray
    names: tuple[Hashable, ...]
    flagged: np.ndarray
    n_flagged: int
    min_detectable: int
    can_reject: bool


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
    names, own = _by_patient(np.asarray(test), patients, "training")
    strangers = [
        np.sort(rows)
        for rows in _by_patient(np.asarray(validation), validation_patients, "validation")[1]
    ]
    largest = np.array([rows.max() for rows in own])  # (T,)
    images = np.array([len(rows) for rows in own])
    sizes = np.array([len(rows) for rows in strangers])
    p, min_p = np.empty(len(own)), np.empty(len(own))
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
        names=names,
        flagged=flagged,
        n_flagged=int(flagged.sum()),
        min_detectable=int(able[0]) + 1 if len(able) else len(p) + 1,
        can_reject=bool(len(able)),
    )


def _by_patient(
    values: np.ndarray, patients: Sequence[Hashable] | None, kind: str
) -> tuple[tuple[Hashable, ...], list[np.ndarray]]:
    """Return the names of the patients and the values of each."""
    if not len(values):
        raise UserError(f"there is no {kind} image: a test of patients needs at least one.")
    owner = owners(patients, len(values), f"{kind} images")
    images = np.bincount(owner)
    rows = np.split(values[np.argsort(owner, kind="stable")], np.cumsum(images)[:-1])
    names = dict.fromkeys(range(len(values)) if patients is None or not len(patients) else patients)
    return tuple(names), rows


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
