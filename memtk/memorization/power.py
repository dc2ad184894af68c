"""What could have been found at all at these sizes."""

from __future__ import annotations

import math

import numpy as np

from memtk.errors import UserError
from memtk.intervals import clopper_pearson

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


def tipping_point(
    flagged: int,
    tested: int,
    false_positive_rate: float,
    limit: float,
    confidence: float = 0.95,
) -> float:
    """Return the sensitivity s* to the generator's own copies down to which a pass holds.

    The bound of the copy rate takes the generator's copies to be as recognisable as the planted
    ones. With a sensitivity s to them, q flagged and the false positive rate f, the copy rate
    (q - f) / (s - f) is at most `limit` as long as

        s >= s* = f + (q_u - f) / limit,

    q_u the one-sided upper end of the flagged share (Clopper and Pearson), and by no less than what
    0 flagged of M and f = 0 would give: by chance fewer strangers than expected are flagged, and
    that is no comfort. A pass says: at least s* of the generator's copies are found. Where s*
    exceeds 1, no sensitivity could make it one.

    Args:
        flagged: synthetic images above the threshold.
        tested: M.
        false_positive_rate: expected share of strangers above it, f.
        limit: of the copy rate, in (0, 1].
        confidence: of q_u.

    Raises:
        UserError: if a number is out of range.

    >>> round(tipping_point(12, 500, 0.02, 0.05), 2), round(tipping_point(0, 500, 0.0, 0.05), 2)
    (0.39, 0.12)
    """
    if not 0 < limit <= 1:
        raise UserError(f"a limit of {limit:g} of the copy rate does not lie between 0 and 1.")
    upper = clopper_pearson(flagged, tested, 2 * confidence - 1).high
    floor = clopper_pearson(0, tested, 2 * confidence - 1).high / limit
    return max(floor, false_positive_rate + (upper - false_positive_rate) / limit)
