"""Exact confidence intervals of counts, and down to which sensitivity a bound from one holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv  # scipy.stats: half a second

from memtk.errors import UserError


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; `low <= estimate <= high`."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """A count out of n with its Clopper-Pearson interval.

    Args:
        count: what was counted.
        n: out of how many; 0 where there was nothing to count from.
        rate: count / n; 0 where n is 0.
        low: lower end of the interval, and `high` the upper one; 0 and 1 where n is 0.
    """

    count: int
    n: int
    rate: float
    low: float
    high: float


def clopper_pearson(count: int, n: int, confidence: float = 0.95) -> Interval:
    """Return count / n with the exact interval of Clopper and Pearson (Biometrika 1934).

    Its ends are the quantiles (1 - confidence) / 2 of Beta(count, n - count + 1) and
    (1 + confidence) / 2 of Beta(count + 1, n - count): it covers at least so often at every rate.
    The n must be independent of each other.

    Args:
        count: successes, 0 to n.
        n: trials, at least 1.
        confidence: of the two-sided interval, in (0, 1).

    Raises:
        UserError: if there is no trial, or a number is out of range.

    >>> clopper_pearson(0, 10).estimate, round(clopper_pearson(0, 10).high, 4)
    (0.0, 0.3085)
    """
    if n < 1 or not 0 <= count <= n or not 0 < confidence < 1:
        raise UserError(
            f"an interval for {count} out of {n} at confidence {confidence:g}: there must be at "
            "least one to count from, and the confidence must lie between 0 and 1."
        )
    return Interval(count / n, *_ends(count, n, confidence))


def of_rate(rate: float, n: int, confidence: float = 0.95) -> Interval:
    """Return the same of a rate over n independent units, whose count need not be a whole number.

    As of patients with several images each: the interval is wide where most images of one differ.

    Args:
        rate: in [0, 1], but for rounding.
        n: units, at least 1.
        confidence: see `clopper_pearson`.

    >>> of_rate(0.25, 8) == clopper_pearson(2, 8)
    True
    """
    count = min(rate * n, float(n))
    count = round(count) if abs(count - round(count)) < 1e-9 else count
    return Interval(min(rate, 1.0), *_ends(count, n, confidence))


def _ends(count: float, n: int, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low = betaincinv(count, n - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, n - count, 1 - tail) if count < n else 1.0
    return float(low), float(high)


def share(chosen: np.ndarray, confidence: float = 0.95) -> Share:
    """Return how many of the flags (n,) are set, with its interval; n may be 0.

    >>> share(np.array([True, False])).rate, share(np.zeros(0)).high
    (0.5, 1.0)
    """
    count, n = int(np.count_nonzero(chosen)), len(chosen)
    if not n:
        return Share(0, 0, 0.0, 0.0, 1.0)
    found = clopper_pearson(count, n, confidence)
    return Share(count, n, found.estimate, found.low, found.high)


def tipping_point(
    bound: float, limit: float, *, sensitivity: float, false_positive_rate: float
) -> float:
    """Return the sensitivity to the generator's own copies down to which a bound is tolerable.

    The upper end b of a rate, corrected as by Rogan and Gladen (Am. J. Epidemiol. 1978), takes it
    that the generator's copies are as recognisable as the planted ones, of which the share s is
    found. With the false positive rate f and a sensitivity s' in its place the end grows as
    (s - f) / (s' - f), and reaches the limit at

        s* = f + b (s - f) / limit.

    How many of the generator's own copies are found nobody knows, unless people look at the pairs:
    a pass that names s* lets its reader judge.

    Args:
        bound: b, in [0, 1].
        limit: up to which it is tolerable, in (0, 1].
        sensitivity: s.
        false_positive_rate: f.

    Returns:
        s*; more than s where the bound is above the limit, and more than 1 where no sensitivity
        would do.

    Raises:
        UserError: if the limit is out of range.

    >>> round(tipping_point(0.03, 0.05, sensitivity=0.9, false_positive_rate=0.02), 3)
    0.548
    """
    if not 0 < limit <= 1:
        raise UserError(f"a limit of {limit:g} does not lie between 0 and 1.")
    return false_positive_rate + bound * (sensitivity - false_positive_rate) / limit
