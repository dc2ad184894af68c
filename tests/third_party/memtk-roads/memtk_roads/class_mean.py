"""A generator that is told the class of each image."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from memtk.interfaces import (
    ComponentConfig,
    ConditionClasses,
    Generator,
    ImageSpec,
    Phase,
    PhaseSettings,
    Turn,
)
from memtk.noise import Noise


class ClassMeanConfig(ComponentConfig):
    """How much noise, and how long it is trained."""

    noise: float = Field(0.1, ge=0, description="standard deviation of a sample's voxels")
    training: PhaseSettings = PhaseSettings(steps=100)


class ClassMean(Generator):
    """`x = mean of the class + noise * n`, n of N(0, 1), clipped to [-1, 1].

    The means are trained by the squared error. One mean more is that of samples that are told
    nothing.
    """

    Config = ClassMeanConfig
    config: ClassMeanConfig

    def __init__(self, config: ClassMeanConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.classes = ConditionClasses(spec.conditions, "class-mean")
        shape = (max(1, self.classes.count), spec.channels, *spec.shape)
        self.mean = nn.Parameter(torch.zeros(shape))

    def phases(self) -> tuple[Phase, ...]:
        """Return one phase, by Adam."""
        turn = Turn("mean", self.parameters, self._loss, 0.05)
        return (Phase("mean", self.config.training, (turn,)),)

    def _loss(self, x: Tensor, noise: Noise, condition: Tensor | None = None) -> dict[str, Tensor]:
        told = self.classes(condition, len(x)).to(x.device)
        told = self.classes.dropped(told, noise, 0.1)  # some are told nothing
        return {"mse": (x - self.mean[told]).square().mean()}

    def sample(self, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """Return one image (C, *S) for each stream, of the class that row i is told."""
        mean = self.mean[self.classes(condition, len(noise)).to(self.mean.device)]  # (B, C, *S)
        n = noise.normal(*mean.shape[1:]).to(mean)
        return (mean + self.config.noise * n).clamp(-1, 1)
