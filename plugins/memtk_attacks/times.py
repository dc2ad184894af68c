"""Times of a noising process, as shares of its length."""

from __future__ import annotations


def time_at(share: float, length: int) -> int:
    """Return the time t in 0, ..., `length` - 1 that lies a share of the way to pure noise.

    >>> time_at(0, 1000), time_at(0.2, 1000), time_at(1, 300)
    (0, 200, 299)
    """
    return min(round(share * length), length - 1)
