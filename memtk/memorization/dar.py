"""The reference method, to the digit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memtk.memorization.null import expected_fraction


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
        UserError: if a set is empty.

    >>> found = dar(np.full(4, 0.5), np.array([0.4, 0.9, 0.3, 0.2]), np.array([0.9, 0.8, 0.4]),
    ...             np.array([0.5]))
    >>> found.tau, found.n_mem, found.n_copies, found.memorized.tolist()
    (0.5, 1, 2, [False, True, False, False])
    """
    expected = expected_fraction(len(synthetic_train), len(validation_train))
    thr = _distance(train_validation)
    memorized = 1 - np.asarray(train_synthetic, dtype=np.float64) < thr  # (N,)
    copies = 1 - np.asarray(synthetic_train, dtype=np.float64) < thr  # (M,)
    called = 1 - np.asarray(validation_train, dtype=np.float64) < thr  # (V,)
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
    return float(np.percentile(1 - np.asarray(train_validation, dtype=np.float64), 5))
