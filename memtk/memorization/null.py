"""What a generator that has memorized nothing would score."""

from __future__ import annotations

from memtk.errors import UserError


def expected_fraction(synthetic: int, validation: int, percentile: float = 95.0) -> float:
    """Return the share of training images that `dar` calls memorized if nothing was.

    If synthetic and validation images are drawn from the same distribution F of similarities to a
    training image, the nearest of V has the distribution F^V and the nearest of M has F^M. The
    threshold tau is the `percentile` of the former, F(tau)^V = 0.95, so a training image is
    called memorized with probability

        1 - F(tau)^M = 1 - 0.95^(M / V):

    5 % if M = V, and 18.5 % at M = 904, V = 226. It takes F to be the same for every training
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
