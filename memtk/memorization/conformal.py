"""Conformal p-values: is this image nearer than a stranger's would be?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from memtk.errors import UserError


@dataclass(frozen=True)
class Side:
    """One side of the verdict: copies (synthetic images) or exposure (training images).

    Args:
        p: p-value of each tested image, (T,), in (0, 1].
        flagged_fraction: share of the tested images with p <= alpha.
        expected_fraction: that share if nothing was memorized: floor(alpha (P + 1)) / (P + 1) with
            one image a validation patient, no more than that with several.
        n_flagged: images that pass Benjamini-Hochberg.
        flagged: which, bool (T,).
        finest: the smallest p-value that P validation patients allow, 1 / (P + 1).
        fewest: the smallest number of images that Benjamini-Hochberg can flag at these sizes:
            fewer, however alike, go unflagged. More than T: none can be.
        can_reject: whether it could flag anything at all.
    """

    p: np.ndarray
    flagged_fraction: float
    expected_fraction: float
    n_flagged: int
    flagged: np.ndarray
    finest: float
    fewest: int
    can_reject: bool


def p_values(
    test: np.ndarray, validation: np.ndarray, patients: Sequence[Hashable] | None = None
) -> np.ndarray:
    """Return the p-value of each tested image: float64 (T,) in (0, 1].

    `p = (1 + sum over validation patients of the share of the patient's images with a similarity
    >= the tested one) / (P + 1)`, with one image a patient `(1 + #{v: a(v) >= a}) / (V + 1)`. If
    tested and validation images are exchangeable, P(p <= alpha) <= alpha. Sums are exact integers,
    so that a p-value that equals alpha is not lost to rounding. O((T + V) log V).

    Args:
        test: similarity of each tested image to its nearest reference, (T,).
        validation: of each validation image to its nearest of the same references, (V,).
        patients: the patient of each validation image, (V,); if None or empty, each is another.

    Raises:
        UserError: if there is no validation image, or not one patient for each.

    >>> p_values(np.array([0.9, 0.5, 0.1]), np.array([0.2, 0.5, 0.6, 0.7])).tolist()
    [0.2, 0.8, 1.0]
    >>> p_values(np.array([0.4]), np.array([0.3, 0.5, 0.6]), ["a", "a", "b"]).round(4).tolist()
    [0.8333]
    """
    test, validation = np.asarray(test), np.asarray(validation)
    patients = _patients(validation, patients)
    images = Counter(patients)
    whole = math.lcm(*images.values())  # one patient; its images weigh whole / n each
    order = np.argsort(validation)
    weights = [whole // images[patients[i]] for i in order[::-1]]
    reached = list(accumulate(weights, initial=0))[::-1]  # weight of what is >= the k-th, k <= V
    table = [(whole + weight) / (whole * (len(images) + 1)) for weight in reached]
    return np.array(table)[np.searchsorted(validation[order], test, side="left")]  # (T,)


def benjamini_hochberg(p: np.ndarray, fdr: float = 0.1) -> np.ndarray:
    """Return which of the p-values (T,) are rejected, bool (T,).

    Those up to the largest `p_(k) <= k fdr / T` in ascending order (Benjamini and Hochberg, J. R.
    Stat. Soc. B 1995): of the flagged ones, the share flagged wrongly is at most `fdr` on average.

    >>> benjamini_hochberg(np.array([0.01, 0.9, 0.06, 0.5]), fdr=0.2).tolist()
    [True, False, True, False]
    """
    p = np.asarray(p, dtype=np.float64)
    ranked = np.sort(p)
    # conformal p-values are fractions that hit k fdr / T exactly; rounding must not decide
    limits = np.arange(1, len(p) + 1) * fdr / max(len(p), 1) * (1 + 1e-12)
    passed = np.flatnonzero(ranked <= limits)
    return p <= ranked[passed[-1]] if len(passed) else np.zeros(len(p), dtype=bool)


def conformal(
    test: np.ndarray,
    validation: np.ndarray,
    validation_patients: Sequence[Hashable] | None = None,
    *,
    alpha: float = 0.05,
    fdr: float = 0.1,
) -> Side:
    """Test each image against the validation images, both compared with the same references.

    Copies: `test` are the synthetic images, the references the training images. Exposure: `test`
    are the training images, the references the synthetic images. No set size enters.

    Args:
        test: similarity of each tested image to its nearest reference, (T,).
        validation: of each validation image to its nearest of the same references, (V,).
        validation_patients: see `p_values`.
        alpha: level of a single test, in (0, 1).
        fdr: false discovery rate of what is flagged, in (0, 1).

    Raises:
        UserError: if a set is empty, or a level is not between 0 and 1.

    >>> side = conformal(np.array([0.95, 0.1]), np.linspace(0, 0.9, 19), alpha=0.05)
    >>> side.p.tolist(), side.flagged.tolist(), side.finest
    ([0.05, 0.9], [True, False], 0.05)
    >>> side.flagged_fraction, side.expected_fraction, side.fewest
    (0.5, 0.05, 1)
    """
    if not 0 < alpha < 1 or not 0 < fdr < 1:
        raise UserError(f"alpha = {alpha:g} and fdr = {fdr:g}: both must lie between 0 and 1.")
    if not len(test):
        raise UserError("there is no image to test: at least one is needed.")
    p = p_values(test, validation, validation_patients)
    flagged = benjamini_hochberg(p, fdr)
    count = len(set(_patients(validation, validation_patients)))
    finest = 1 / (count + 1)
    fewest = math.ceil(len(p) * finest / fdr * (1 - 1e-12))
    return Side(
        p=p,
        flagged_fraction=float(np.mean(p <= alpha)),
        expected_fraction=_expected(alpha, count),
        n_flagged=int(flagged.sum()),
        flagged=flagged,
        finest=finest,
        fewest=fewest,
        can_reject=fewest <= len(p),
    )


def _expected(alpha: float, patients: int) -> float:
    """Return the largest k / (P + 1) <= alpha, as the p-values themselves are compared."""
    k = math.floor(alpha * (patients + 1))
    k += (k + 1) / (patients + 1) <= alpha
    return k / (patients + 1)


def _patients(validation: np.ndarray, patients: Sequence[Hashable] | None) -> Sequence[Hashable]:
    if not len(validation):
        raise UserError("there is no validation image: conformal p-values need at least one.")
    if patients is None or not len(patients):
        return range(len(validation))
    if len(patients) != len(validation):
        raise UserError(
            f"{len(validation)} validation images but {len(patients)} patients: name the patient "
            "of each image."
        )
    return patients
