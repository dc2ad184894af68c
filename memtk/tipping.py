"""Down to which sensitivity a bound on copies, or on exposed patients, holds."""

from __future__ import annotations

from memtk.errors import UserError


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
