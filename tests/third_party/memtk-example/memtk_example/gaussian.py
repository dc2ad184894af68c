"""A generator without memory: every voxel is drawn on its own."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Tensor

from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, PhaseSettings
from memtk.noise import Noise


class GaussianConfig(ComponentConfig):
    """One number."""

    temperature: float = Field(1.0, ge=0, description="factor of the voxels' spread")


class Gaussian(Generator):
    """`x = mean + temperature * spread * n`, n of N(0, 1), voxel by voxel, clipped to [-1, 1]."""

    Config = GaussianConfig
    config: GaussianConfig
    mean: Tensor
    spread: Tensor

    def __init__(self, config: GaussianConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        shape = (spec.channels, *spec.shape)
        # What sampling needs is a buffer: a checkpoint is the state_dict and nothing else.
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))

    def phases(self) -> tuple[Phase, ...]:
        """Return one phase, which looks at the training set and takes no step."""
        settings = PhaseSettings.model_validate({"steps": 0, "batch_size": 16})
        return (Phase("fit", settings, begin=self._fit),)

    def _fit(self, batches: Iterable[Tensor]) -> None:
        count, total, squares = 0, torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        for x in batches:  # (B, C, *S)
            count += len(x)
            total += x.sum(0)
            squares += x.square().sum(0)
        self.mean.copy_(total / count)
        self.spread.copy_((squares / count - self.mean.square()).clamp_min(0).sqrt())

    def sample(self, noise: Noise) -> Tensor:
        """Return one image (C, *S) for each stream of `noise`."""
        n = noise.normal(*self.mean.shape)  # (B, C, *S)
        return (self.mean + self.config.temperature * self.spread * n.to(self.mean)).clamp(-1, 1)
