"""A mitigation."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from memtk.interfaces import ComponentConfig, Mitigation
from memtk.noise import Noise


class GrainConfig(ComponentConfig):
    """One number."""

    sigma: float = Field(0.05, ge=0, description="standard deviation, of a range of 2")


class Grain(Mitigation):
    """Adds white noise to the training images, anew each time they are shown."""

    Config = GrainConfig
    config: GrainConfig

    def augment(self, x: Tensor, noise: Noise) -> Tensor:
        """Return training images (B, C, *S), changed; row i by stream i of `noise`."""
        return (x + self.config.sigma * noise.normal(*x.shape[1:]).to(x)).clamp(-1, 1)
