"""What a differentially private training is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Private:
    """Settings of DP-SGD (Abadi et al., arXiv 1607.00133), which the core trains with.

    Args:
        epsilon: of the whole training; the noise follows from it. None where the noise is given.
        noise_multiplier: spread of the noise of a step in units of `max_grad_norm`. None where
            epsilon is given.
        delta: None for a tenth of 1 / units.
        max_grad_norm: to which the gradient of each unit is clipped.
        unit: whose data are protected as a whole: all images of a patient, or a single image.
        accountant: of opacus: "rdp" or the tighter "prv".
        secret: draw sampling and noise from the operating system's randomness. False: from the
            run's seed, so that the numbers can be repeated, by others too.
    """

    epsilon: float | None = 8.0
    noise_multiplier: float | None = None
    delta: float | None = None
    max_grad_norm: float = 1.0
    unit: Literal["patient", "image"] = "patient"
    accountant: Literal["rdp", "prv"] = "rdp"
    secret: bool = True
