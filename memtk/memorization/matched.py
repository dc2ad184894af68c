"""The reference count at equal sizes: as many synthetic images as validation images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memtk.errors import UserError


@dataclass(frozen=True)
class Matched:
    """The expectation of `n_mem` over random subsets of V synthetic images.

    Args:
        n_mem: expected number of memorized training images; None if there is no such subset.
        mem_fraction: n_mem / N; 5 % of a generator that has memorized nothing. None likewise.
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
