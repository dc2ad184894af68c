"""Could this count be chance? The binomial tail, in the standard library alone."""

from __future__ import annotations

import math


def binomial_tail(count: int, trials: int, probability: float) -> float:
    """Return P(X >= count) for X ~ Binomial(trials, probability).

    Args:
        count: what was counted.
        trials: out of how many.
        probability: of each, in [0, 1].

    >>> round(binomial_tail(2, 2, 0.5), 3)
    0.25
    >>> binomial_tail(0, 10, 0.05)
    1.0
    """
    if count <= 0:
        return 1.0
    if count > trials or probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    log, other = math.log(probability), math.log1p(-probability)
    terms = (
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * log
            + (trials - k) * other
        )
        for k in range(count, trials + 1)
    )
    return min(1.0, math.fsum(terms))
