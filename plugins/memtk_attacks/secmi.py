"""SecMI: how far an image strays when it is noised and denoised without chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from memtk.interfaces import ComponentConfig, Diffusion, Images, Target
from memtk.noise import Noise
from memtk_attacks.times import time_at


class SecMIConfig(ComponentConfig):
    """How far the image is noised, and in how many steps."""

    time: float = Field(
        0.1, gt=0, lt=1, description="time that is attacked, as a share of T (the paper: 0.1)"
    )
    steps: int = Field(10, ge=1, description="deterministic steps up to that time (the paper: 10)")


class SecMI:
    """Score: minus the t-error `|| back(forth(z~_t)) - z~_t ||^2`, mean over the elements of z.

    `z~_t` is the image carried to time t by deterministic DDIM steps; one step further (`forth`)
    and one step `back` would end where they began if the model's noise were exact there. The error
    is smaller on images that it was trained on. Nothing is drawn.

    Reference: Duan et al., ICML 2023, arXiv 2302.01316, the statistic SecMI_stat.
    """

    Config = SecMIConfig
    uses = ("diffusion",)

    def __init__(self, config: SecMIConfig) -> None:
        self.config = config

    def describe(self, target: Target) -> str:
        """Return what is compared."""
        return "the error of one deterministic step of noising and denoising (t-error of SecMI)"

    def score(self, target: Target, images: Images) -> np.ndarray:
        """Return minus the t-error of each image, (N,)."""
        generator: Any = target.generator
        diffusion: Diffusion = generator.diffusion()
        times = steps_to(self.config.time, self.config.steps, len(diffusion.kept))

        def work(x: Tensor, noise: Noise) -> Tensor:
            z = diffusion.clean(x)
            for now, then in zip(times[:-2], times[1:-1], strict=True):
                z = ddim(diffusion, z, now, then)
            there = ddim(diffusion, z, times[-2], times[-1])
            again = ddim(diffusion, there, times[-1], times[-2])
            return -(again - z).square().flatten(1).mean(1)  # (B,)

        return target.each(images, work)


def steps_to(share: float, steps: int, length: int) -> list[int]:
    """Return times from 0 in equal steps to `share` of the length, and one more; all different.

    >>> steps_to(0.1, 5, 1000)
    [0, 20, 40, 60, 80, 100, 120]
    >>> steps_to(0.1, 10, 20)
    [0, 1, 2, 3]
    """
    last = min(max(1, time_at(share, length)), length - 2)
    steps = min(steps, last)
    stride = last / steps
    times = [round(i * stride) for i in range(steps + 1)]
    return [*times, min(length - 1, last + max(1, round(stride)))]


def ddim(diffusion: Diffusion, z: Tensor, now: int, then: int) -> Tensor:
    """Carry rows z (B, ...) from time `now` to `then`, later or earlier, without chance.

    Song, Meng and Ermon, arXiv 2010.02502, equation 12 without fresh noise.
    """
    t = torch.full((len(z),), now, device=z.device)
    eps = diffusion.noise(z, t)
    kept = diffusion.kept.to(z.device)[[now, then]]
    clean = (z - (1 - kept[0]).sqrt() * eps) / kept[0].sqrt()
    return kept[1].sqrt() * clean + (1 - kept[1]).sqrt() * eps
