"""The privacy that a training phases, by opacus's accountants."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from scipy.optimize import brentq

from memtk.errors import UserError

MOST_NOISE = 1e5
"""A noise multiplier beyond which nothing is learnt any more."""

LEAST_NOISE = 0.05
"""One below which there is no privacy to speak of; a larger budget than this needs is not spent."""


@dataclass(frozen=True)
class PhaseBudget:
    """What one phase spends of a privacy budget: noisy steps at one sampling rate.

    Args:
        phase: that takes them.
        steps: how many.
        sample_rate: the chance of each unit to be in a step, in (0, 1].
    """

    phase: str
    steps: int
    sample_rate: float


@dataclass(frozen=True)
class PrivacyGuarantee:
    """The guarantee of a finished training; see `memtk.results.Privacy`, field by field."""

    epsilon: float
    delta: float
    unit: Literal["patient", "image"]
    units: int
    most_images: int
    noise_multiplier: float
    max_grad_norm: float
    phases: tuple[PhaseBudget, ...]
    accountant: Literal["rdp", "prv"]
    secret: bool
    notes: tuple[str, ...]


def epsilon_of(
    phases: Sequence[PhaseBudget], noise_multiplier: float, delta: float, accountant: str = "rdp"
) -> float:
    """Return epsilon of all steps together: of the subsampled Gaussian mechanism, composed.

    Poisson sampling: each unit is in a step independently of the others, as accountants suppose.

    Args:
        phases: of every phase that sees the data.
        noise_multiplier: above 0.
        delta: in (0, 1).
        accountant: "rdp" (Mironov, arXiv 1702.07476) or "prv" (Gopi et al., arXiv 2106.02848).
    """
    from opacus.accountants import create_accountant

    counted = create_accountant(mechanism=accountant)
    counted.history = [(noise_multiplier, s.sample_rate, s.steps) for s in phases if s.steps]
    if not counted.history:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on orders at the end of its list: still an upper bound
        return max(0.0, float(counted.get_epsilon(delta=delta)))


@lru_cache(maxsize=64)
def noise_for(
    phases: tuple[PhaseBudget, ...], epsilon: float, delta: float, accountant: str = "rdp"
) -> float:
    """Return the least noise multiplier, to a thousandth of it, that keeps to `epsilon`.

    Raises:
        UserError: if none does.
    """

    def excess(log_noise: float) -> float:
        found = epsilon_of(phases, math.exp(log_noise), delta, accountant)
        return math.log(max(found, 1e-12) / epsilon)

    low = high = 0.0
    while excess(high) > 0:
        low, high = high, high + math.log(2)
        if high > math.log(MOST_NOISE):
            raise UserError(
                f"no noise brings epsilon down to {epsilon:g} at delta = {delta:.2g} by the "
                f"accountant {accountant!r}: ask for a larger epsilon, or, of rdp, say "
                "--set dp-sgd.accountant=prv"
            )
    while low > math.log(LEAST_NOISE) and excess(low) <= 0:
        low, high = low - math.log(2), low
    if excess(low) <= 0:
        return LEAST_NOISE
    return math.exp(brentq(excess, low, high, xtol=4e-4) + 4e-4)
