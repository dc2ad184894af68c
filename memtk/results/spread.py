"""Several seeds of one setting: their mean, and how far they lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Spread:
    """What several seeds gave.

    Args:
        values: one a seed.
        mean: of them.
        low: the smallest, and `high` the largest.
        interval: 95 % of the mean by Student's t over the seeds; None of a single one. It says how
            much trainings vary; the patients are the same in all of them.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    interval: tuple[float, float] | None

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.values)


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean, range and 95 % interval of the mean; None of nothing.

    The interval is `mean -+ t(0.975, k - 1) s / sqrt(k)` with the standard deviation s of the k
    seeds. With two seeds t is 12.7: the interval is wide because two say little.

    >>> spread([0.5]).interval is None
    True
    >>> [round(v, 2) for v in spread([0.1, 0.2, 0.3]).interval]
    [-0.05, 0.45]
    """
    if not values:
        return None
    count = len(values)
    mean = math.fsum(values) / count
    interval = None
    if count > 1:
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1))
        reach = float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
        interval = (mean - reach, mean + reach)
    return Spread(tuple(values), mean, min(values), max(values), interval)
