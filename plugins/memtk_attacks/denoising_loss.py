"""The loss of a diffusion model as a sign of membership."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from memtk.interfaces import ComponentConfig, Images, Target
from memtk.noise import Noise
from memtk_attacks.times import time_at


class DenoisingLossConfig(ComponentConfig):
    """Where on the way to pure noise the loss is taken, and how often."""

    times: tuple[float, ...] = Field(
        (0.1, 0.2, 0.3, 0.4, 0.5),
        min_length=1,
        description="times, as shares of T: 0 is the clean image, 1 pure noise",
    )
    repeats: int = Field(4, ge=1, description="noises at each time, over which the loss is taken")

    @field_validator("times")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= share <= 1 for share in value):
            raise ValueError("times lie between 0 (clean) and 1 (pure noise)")
        return value


class DenoisingLoss:
    """Score: minus the model's own loss of denoising the image, mean over times and noises.

    A model that has learnt an image by heart takes the noise off it better than off an image that
    it has never seen. Image i is noised by stream i alone.

    References: Matsumoto, Miura and Yanai, arXiv 2302.03262; Carlini et al., arXiv 2301.13188.
    """

    Config = DenoisingLossConfig
    uses = ("denoising_loss", "diffusion")

    def __init__(self, config: DenoisingLossConfig) -> None:
        self.config = config

    def describe(self, target: Target) -> str:
        """Return what is compared."""
        return f"the model's own denoising loss, mean of {self._draws} draws an image"

    def score(self, target: Target, images: Images) -> np.ndarray:
        """Return minus the mean loss of each image, (N,)."""
        generator: Any = target.generator
        length = len(generator.diffusion().kept)

        def work(x: Tensor, noise: Noise) -> Tensor:
            total = torch.zeros(len(x), device=x.device)
            for share in self.config.times:
                t = torch.full((len(x),), time_at(share, length), device=x.device)
                for _ in range(self.config.repeats):
                    total += generator.denoising_loss(x, t, noise).float()
            return -total / self._draws  # (B,)

        return target.each(images, work)

    @property
    def _draws(self) -> int:
        return len(self.config.times) * self.config.repeats
