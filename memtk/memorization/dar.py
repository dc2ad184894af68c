"""The count of Dar et al. (arXiv 2402.01054), its null, and the same count at equal sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memtk.errors import UserError
from memtk.memorization.patients import similarities


@dataclass(frozen=True)
class Dar:
    """What the rule of Dar et al. (arXiv 2402.01054) counts.

    Args:
        tau: the threshold, a similarity.
        n_mem: training images whose nearest synthetic image is nearer than tau.
        n_copies: synthetic images whose nearest training image is nearer than tau.
        mem_fraction: n_mem / N.
        copy_fraction: n_copies / M.
        expected_mem_fraction: of a generator that has memorized nothing, see `expected_fraction`.
        validation_called_copies: validation images whose nearest training image is nearer than
            tau: what the rule says of real images of strangers, of V.
        memorized: which training images, bool (N,).
        copies: which synthetic images, bool (M,).
    """

    tau: float
    n_mem: int
    n_copies: int
    mem_fraction: float
    copy_fraction: float
    expected_mem_fraction: float
    validation_called_copies: int
    memorized: np.ndarray
    copies: np.ndarray


def dar(
    train_validation: np.ndarray,
    train_synthetic: np.ndarray,
    synthetic_train: np.ndarray,
    validation_train: np.ndarray,
) -> Dar:
    """Apply the rule of Dar et al. to nearest similarities.

    With distances d = 1 - s, `Thr` is the 5th percentile (linear interpolation) over the training
    images of the distance to the nearest validation image, and tau = 1 - Thr. Memorized and copied
    is what is strictly nearer than Thr.

    Args:
        train_validation: similarity of each training image to its nearest validation image, (N,).
        train_synthetic: of each training image to its nearest synthetic image, (N,).
        synthetic_train: of each synthetic image to its nearest training image, (M,).
        validation_train: of each validation image to its nearest training image, (V,).

    Raises:
        UserError: if a set is empty, or a similarity is NaN.

    >>> found = dar(np.full(4, 0.5), np.array([0.4, 0.9, 0.3, 0.2]), np.array([0.9, 0.8, 0.4]),
    ...             np.array([0.5]))
    >>> found.tau, found.n_mem, found.n_copies, found.memorized.tolist()
    (0.5, 1, 2, [False, True, False, False])
    """
    expected = expected_fraction(len(synthetic_train), len(validation_train))
    thr = _distance(train_validation)
    memorized = 1 - similarities(train_synthetic, "training images") < thr  # (N,)
    copies = 1 - similarities(synthetic_train, "synthetic images") < thr  # (M,)
    called = 1 - similarities(validation_train, "validation images") < thr  # (V,)
    return Dar(
        tau=1 - thr,
        n_mem=int(memorized.sum()),
        n_copies=int(copies.sum()),
        mem_fraction=float(memorized.mean()),
        copy_fraction=float(copies.mean()),
        expected_mem_fraction=expected,
        validation_called_copies=int(called.sum()),
        memorized=memorized,
        copies=copies,
    )


def cutoff(train_validation: np.ndarray) -> float:
    """Return the similarity c such that `s > c` is what `dar` counts, for every float64 s.

    It is tau but for the last bit: the rule compares distances, and `1 - (1 - s)` need not be s.
    A search with this threshold counts, for each image, what the rule counts.

    Args:
        train_validation: similarity of each training image to its nearest validation image, (N,).

    >>> cutoff(np.full(4, 0.5))
    0.5
    """
    thr = _distance(train_validation)
    reach = 4 * math.ulp(max(1.0, abs(thr)))
    low, high = 1 - thr - reach, 1 - thr + reach  # low is not counted, high is
    while low < (middle := low + (high - low) / 2) < high:
        if 1 - middle < thr:
            high = middle
        else:
            low = middle
    assert math.nextafter(low, math.inf) == high
    return low


def _distance(train_validation: np.ndarray) -> float:
    return float(np.percentile(1 - similarities(train_validation, "training images"), 5))


def expected_fraction(synthetic: int, validation: int, percentile: float = 95.0) -> float:
    """Return the share of training images that `dar` calls memorized if nothing was.

    If synthetic and validation images are drawn from the same distribution F of similarities to a
    training image, the nearest of V has the distribution F^V and the nearest of M has F^M. The
    threshold tau is the `percentile` of the former, F(tau)^V = 0.95, so a training image is
    called memorized with probability

        1 - F(tau)^M = 1 - 0.95^(M / V):

    5% if M = V, and 18.5% at M = 904, V = 226. It takes F to be the same for every training
    image; where some lie in denser places than others it is an approximation.

    Args:
        synthetic: M, number of synthetic images.
        validation: V, number of validation images.
        percentile: of the nearest validation similarities, in (0, 100).

    Raises:
        UserError: if a number is out of range.

    >>> round(expected_fraction(904, 226), 3)
    0.185
    >>> round(expected_fraction(100, 100), 3)
    0.05
    """
    if synthetic < 1 or validation < 1 or not 0 < percentile < 100:
        raise UserError(
            f"a null for {synthetic} synthetic and {validation} validation images at the "
            f"{percentile:g}th percentile: there must be at least one of each, and the percentile "
            "must lie between 0 and 100."
        )
    return float(1 - (percentile / 100) ** (synthetic / validation))


@dataclass(frozen=True)
class Matched:
    """The expectation of `n_mem` over random subsets of V synthetic images.

    Args:
        n_mem: expected number of memorized training images; None if there is no such subset.
        mem_fraction: n_mem / N; 5% of a generator that has memorized nothing. None likewise.
        reason: why there is no number and what to do; empty if there is one.
    """

    n_mem: float | None
    mem_fraction: float | None
    reason: str = ""


def dar_matched(above: np.ndarray, synthetic: int, validation: int) -> Matched:
    """Return `n_mem` as it would be, on average, with V of the M synthetic images.

    The threshold tau of `dar` is the nearest of V validation images; the nearest of M > V
    synthetic images is nearer by their number alone. With c_i synthetic images above tau for
    training image i, a random subset of V misses them all with probability
    C(M - c_i, V) / C(M, V), so

        n_mem = sum_i 1 - C(M - c_i, V) / C(M, V).

    Nothing is drawn. The ratio is the product over k < c_i of 1 - V / (M - k), summed as
    logarithms, which loses nothing at either end. A generator that gives each of its N = M training
    images back once reaches V / M, not 1: only so many of them are in a subset.

    Args:
        above: c_i, the synthetic images above tau for each training image, (N,).
        synthetic: M.
        validation: V.

    Raises:
        UserError: if there is no training image or no validation image, or a count exceeds M.

    >>> dar_matched(np.array([0, 1, 4]), synthetic=4, validation=2)
    Matched(n_mem=1.5, mem_fraction=0.5, reason='')
    >>> dar_matched(np.array([0, 1]), synthetic=2, validation=3).n_mem is None
    True
    """
    above = np.asarray(above, dtype=np.int64)
    if not len(above) or validation < 1 or above.min() < 0 or above.max() > synthetic:
        raise UserError(
            f"dar-matched got {len(above)} training images, {validation} validation images and "
            f"counts that must lie between 0 and the {synthetic} synthetic images."
        )
    if synthetic < validation:
        return Matched(
            None,
            None,
            f"There are {synthetic} synthetic and {validation} validation images, so no subset of "
            f"{validation} synthetic images can be drawn: sample at least {validation}.",
        )
    drawn = np.arange(synthetic - validation)  # k < M - V; from there on a subset must hit
    missing = np.full(synthetic + 1, -np.inf)  # log of the probability of missing c, by c
    missing[0] = 0.0
    missing[1 : len(drawn) + 1] = np.cumsum(np.log1p(-validation / (synthetic - drawn)))
    n_mem = float(-np.expm1(missing[above]).sum()) + 0.0  # not -0.0
    return Matched(n_mem, n_mem / len(above))
