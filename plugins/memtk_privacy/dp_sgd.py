"""Differential privacy as a mitigation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from memtk.interfaces import ComponentConfig, Mitigation, Private


class DPSGDConfig(ComponentConfig):
    """The budget, and how it is spent."""

    epsilon: float | None = Field(
        None,
        gt=0,
        description="budget of the whole training, all phases together; none: 8, unless "
        "noise_multiplier is set",
    )
    noise_multiplier: float | None = Field(
        None,
        gt=0,
        description="spread of a step's noise in units of max_grad_norm; none: as much as epsilon "
        "asks for",
    )
    delta: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="chance that the guarantee does not hold; none: a tenth of 1 / units",
    )
    max_grad_norm: float = Field(
        1.0, gt=0, description="to which the gradient of each unit is clipped"
    )
    unit: Literal["patient", "image"] = Field(
        "patient", description="whose data are protected as a whole: a patient's, or one image"
    )
    accountant: Literal["rdp", "prv"] = Field(
        "rdp", description="of opacus; prv is tighter and takes longer"
    )
    reproducible: bool = Field(
        False,
        description="draw the noise from the run's seed: the numbers can be repeated, and whoever "
        "knows the seed can take the noise off",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> DPSGDConfig:
        if self.noise_multiplier is not None and self.epsilon is not None:
            raise ValueError("epsilon and noise_multiplier both set the noise: give one of them")
        return self


class DPSGD(Mitigation):
    """Trains the generator by DP-SGD, so that no patient's images can move it much.

    What a patient's images contribute to a step is clipped, noise is added, and patients come into
    a step by chance (Poisson sampling). Opacus clips, adds the noise and counts epsilon over all
    phases that see training images, the autoencoder too. See `docs/how-to/train-privately.md`.

    The noise comes from the operating system's randomness, so two runs differ; `reproducible` draws
    it from the run's seed instead. A run that was stopped goes on with the same noise either way.

    References: Abadi et al., arXiv 1607.00133; Dockhorn et al., arXiv 2210.09929 (diffusion
    models); Yousefpour et al., arXiv 2109.12298 (opacus).
    """

    Config = DPSGDConfig
    config: DPSGDConfig

    def private(self) -> Private:
        """Return how the generator is trained."""
        c = self.config
        return Private(
            epsilon=(c.epsilon or 8.0) if c.noise_multiplier is None else None,
            noise_multiplier=c.noise_multiplier,
            delta=c.delta,
            max_grad_norm=c.max_grad_norm,
            unit=c.unit,
            accountant=c.accountant,
            secret=not c.reproducible,
        )
