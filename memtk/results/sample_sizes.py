"""What would change an inconclusive verdict: about how many images or patients more."""

from __future__ import annotations

import math
from statistics import NormalDist


def patients_to_flag(fdr: float) -> int:
    """Return the fewest validation patients with which Benjamini-Hochberg can flag anything.

    The finest p-value, 1 / (P + 1), must not exceed the false discovery rate.

    >>> patients_to_flag(0.1), patients_to_flag(0.05)
    (9, 19)
    """
    return max(1, math.ceil(1 / fdr * (1 - 1e-12)) - 1)


def patients_for_bound(
    bound: float, estimate: float, limit: float, validation: int, synthetic: int
) -> int | None:
    """Return about how many validation patients would bring the bound of the copy rate to a limit.

    The distance from estimate to bound goes with `sqrt(1/V + 1/M)` where few are copies, the
    estimate is taken to stay.

    Args:
        bound: upper bound of the copy rate with V validation patients and M synthetic images.
        estimate: of the copy rate.
        limit: that the bound should reach.
        validation: V.
        synthetic: M.

    Returns:
        The number to two digits; None where no number of validation patients would do.

    >>> patients_for_bound(0.08, 0.0, 0.05, 60, 1000)
    170
    >>> patients_for_bound(0.08, 0.06, 0.05, 60, 1000) is None
    True
    """
    now, wanted = bound - estimate, limit - estimate
    if wanted <= 0 or now <= 0:
        return None
    return _solve((1 / validation + 1 / synthetic) * (wanted / now) ** 2, synthetic)


def patients_to_plan(
    alpha: float, sensitivity: float, limit: float, confidence: float, synthetic: int
) -> int | None:
    """Return about how many validation patients bound the copy rate by a limit, if there are none.

    From `limit (sensitivity - alpha) = z sqrt(alpha (1 - alpha) (1/V + 1/M))`, the Rogan-Gladen
    estimate's standard error where nothing is a copy (Am. J. Epidemiol. 1978).

    >>> patients_to_plan(0.05, 0.9, 0.05, 0.95, 1000)
    77
    >>> patients_to_plan(0.05, 0.9, 0.05, 0.95, 50) is None
    True
    """
    if sensitivity <= alpha or limit <= 0:
        return None
    z = NormalDist().inv_cdf(confidence)
    wanted = (limit * (sensitivity - alpha) / z) ** 2 / (alpha * (1 - alpha))
    patients = _solve(wanted, synthetic)
    return None if patients is None else max(patients, patients_to_flag(alpha))


def plants_for_sensitivity(rate: float, limit: float, confidence: float) -> int:
    """Return about how many planted copies bring the interval of a rate above a limit.

    From `rate - limit = z sqrt(limit (1 - limit) / n)` with `1 / (rate - limit)` more, because the
    exact interval is wider; of a rate of 1, `limit^n = (1 - confidence) / 2`.

    >>> plants_for_sensitivity(0.85, 0.8, 0.95), plants_for_sensitivity(1, 0.8, 0.95)
    (270, 17)
    """
    if rate >= 1:
        return math.ceil(math.log((1 - confidence) / 2) / math.log(limit)) if limit > 0 else 1
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return _two_digits(z**2 * limit * (1 - limit) / (rate - limit) ** 2 + 1 / (rate - limit))


def _solve(total: float, synthetic: int) -> int | None:
    """Return V from 1/V + 1/M, rounded up to two digits; None where M alone is more than that."""
    rest = total - 1 / synthetic
    return _two_digits(1 / rest) if rest > 1e-6 else None


def _two_digits(value: float) -> int:
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step * (1 - 1e-12)) * step
