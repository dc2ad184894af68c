"""Differential privacy of a generator's training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from memtk.results.record import StoredRecord


class PrivatePhase(StoredRecord):
    """One phase that saw the training images.

    Args:
        name: of the phase.
        steps: noisy steps of its only turn.
        sample_rate: the chance of each unit to be in a step.
    """

    name: str
    steps: int = Field(ge=0)
    sample_rate: float = Field(gt=0, le=1)


class Privacy(StoredRecord):
    """The guarantee that a generator was trained under: (epsilon, delta), over all its phases.

    Adding or removing one unit changes the probability of any outcome of the training by at most
    a factor exp(epsilon), but for a probability delta. It covers the weights and whatever is
    sampled from them; not the embedder, the losses or this report, which saw the images plainly.

    Args:
        epsilon: by the accountant, for what was done.
        delta: at which it was computed.
        unit: "patient" (all images of one) or "image".
        units: how many there are.
        most_images: the most images of one patient.
        noise_multiplier: spread of the noise of a step, in units of `max_grad_norm`.
        max_grad_norm: largest norm of one unit's gradient.
        steps: noisy steps in all.
        phases: that saw the training images, in order.
        accountant: "rdp" or "prv".
        opacus_version: that counted.
        secret: False if the noise follows from the run's seed: epsilon then holds only against
            those who do not know it.
        notes: sentences that bound what the epsilon says.
    """

    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    unit: Literal["patient", "image"]
    units: int = Field(ge=1)
    most_images: int = Field(ge=1)
    noise_multiplier: float = Field(gt=0)
    max_grad_norm: float = Field(gt=0)
    steps: int = Field(ge=0)
    phases: list[PrivatePhase]
    accountant: Literal["rdp", "prv"]
    opacus_version: str
    secret: bool
    notes: list[str] = []
