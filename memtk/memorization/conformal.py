"""Conformal p-values: is this image nearer than a stranger's would be?"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.stats import false_discovery_control

from memtk.errors import UserError
from memtk.memorization.patients import owners, similarities


@dataclass(frozen=True)
class ConformalTest:
    """What is said of copies (synthetic images are tested) or of exposure (training images are).

    Args:
        p: p-value of each tested image, (T,), in (0, 1].
        flagged_fraction: share of the tested images with p <= alpha.
        expected_fraction: that share if nothing was memorized: floor(alpha (P + 1)) / (P + 1) with
            one image a validation patient, no more than that with several.
        n_flagged: images that pass Benjamini-Hochberg.
        flagged: which, bool (T,).
        min_p: the smallest p-value that P validation patients allow, 1 / (P + 1).
        min_detectable: the smallest number of images that Benjamini-Hochberg can flag at these
            sizes: fewer, however alike, go unflagged. More than T: none can be.
        can_reject: whether it could flag anything at all.
    """

    p: np.ndarray
    flagged_fraction: float
    expected_fraction: float
    n_flagged: int
    flagged: np.ndarray
    min_p: float
    min_detectable: int
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
        UserError: if there is no validation image, not one patient for each, or one is NaN.

    >>> p_values(np.array([0.9, 0.5, 0.1]), np.array([0.2, 0.5, 0.6, 0.7])).tolist()
    [0.2, 0.8, 1.0]
    >>> p_values(np.array([0.4]), np.array([0.3, 0.5, 0.6]), ["a", "a", "b"]).round(4).tolist()
    [0.8333]
    """
    owner = _owners(validation, patients)
    test = similarities(test, "tested images", 0)
    validation = similarities(validation, "validation images")
    images = np.bincount(owner)
    whole = math.lcm(*images.tolist())  # one patient; each of its n images weighs whole / n
    order = np.argsort(validation)
    weights = [whole // n for n in images[owner[order[::-1]]].tolist()]
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
    # conformal p-values are fractions that hit k fdr / T exactly; rounding must not decide
    return np.asarray(false_discovery_control(_checked(p)) <= fdr * (1 + 1e-12))


def holm(p: np.ndarray, level: float = 0.05) -> np.ndarray:
    """Return which of the p-values (T,) are rejected, bool (T,).

    Those before the first `p_(k) > level / (T - k + 1)` in ascending order (Holm, Scand. J. Stat.
    1979): with a probability of at least `1 - level` none of them is flagged wrongly.

    >>> holm(np.array([0.01, 0.9, 0.02, 0.5]), level=0.05).tolist()
    [True, False, False, False]
    """
    p = _checked(p)
    ranked = np.sort(p)
    failed = np.flatnonzero(ranked > level / np.arange(len(p), 0, -1) * (1 + 1e-12))
    return p < ranked[failed[0]] if len(failed) else np.ones(len(p), dtype=bool)


def _checked(p: np.ndarray) -> np.ndarray:
    found = np.asarray(p, dtype=np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        raise UserError("p-values must lie between 0 and 1.")
    return found


def conformal(
    test: np.ndarray,
    validation: np.ndarray,
    validation_patients: Sequence[Hashable] | None = None,
    *,
    alpha: float = 0.05,
    fdr: float = 0.1,
) -> ConformalTest:
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
    >>> side.p.tolist(), side.flagged.tolist(), side.min_p
    ([0.05, 0.9], [True, False], 0.05)
    >>> side.flagged_fraction, side.expected_fraction, side.min_detectable
    (0.5, 0.05, 1)
    """
    if not 0 < alpha < 1 or not 0 < fdr < 1:
        raise UserError(f"alpha = {alpha:g} and fdr = {fdr:g}: both must lie between 0 and 1.")
    if not len(test):
        raise UserError("there is no image to test: at least one is needed.")
    p = p_values(test, validation, validation_patients)
    flagged = benjamini_hochberg(p, fdr)
    count = int(_owners(np.asarray(validation), validation_patients).max()) + 1
    min_p = 1 / (count + 1)
    min_detectable = math.ceil(len(p) * min_p / fdr * (1 - 1e-12))
    return ConformalTest(
        p=p,
        flagged_fraction=float(np.mean(p <= alpha)),
        expected_fraction=_expected(alpha, count),
        n_flagged=int(flagged.sum()),
        flagged=flagged,
        min_p=min_p,
        min_detectable=min_detectable,
        can_reject=min_detectable <= len(p),
    )


def _expected(alpha: float, patients: int) -> float:
    """Return the largest k / (P + 1) <= alpha, as the p-values themselves are compared."""
    k = math.floor(alpha * (patients + 1))
    k += (k + 1) / (patients + 1) <= alpha
    return k / (patients + 1)


def left_out(validation: np.ndarray, patients: Sequence[Hashable] | None = None) -> np.ndarray:
    """Return for each validation image the weight of the other patients that reach it, (V,).

    That is the sum over the other patients of the share of their images with a similarity >= its
    own, in [0, P - 1] up to rounding. (1 + weight) / P is its conformal p-value with its patient
    left out.

    Args:
        validation: similarity of each validation image to its nearest reference, (V,).
        patients: the patient of each, (V,); if None or empty, each is another.

    Raises:
        UserError: if there is no validation image, or not one patient for each.

    >>> left_out(np.array([0.3, 0.5, 0.6]), ["a", "a", "b"]).tolist()
    [1.0, 1.0, 0.0]
    """
    owner = _owners(validation, patients)
    validation = similarities(validation, "validation images")
    images = np.bincount(owner)
    total = p_values(validation, validation, patients) * (len(images) + 1) - 1
    order = np.lexsort((validation, owner))
    value, person = validation[order], owner[order]
    first = np.r_[True, (np.diff(person) > 0) | (np.diff(value) > 0)]  # of equal ones
    at = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    below = at - (np.cumsum(images) - images)[person]  # images of the patient that are smaller
    total[order] -= 1 - below / images[person]
    return total


def _owners(validation: np.ndarray, patients: Sequence[Hashable] | None) -> np.ndarray:
    if not len(validation):
        raise UserError("there is no validation image: conformal p-values need at least one.")
    return owners(patients, len(validation), "validation images")
