"""Attacks on what denoises: the loss, SecMI and PIA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from memtk.errors import many
from memtk.interfaces import ComponentConfig, Diffusion, Images, Target
from memtk.noise import Noise


def time_at(share: float, length: int) -> int:
    """Return the time t in 0, ..., `length` - 1 that lies a share of the way to pure noise.

    >>> time_at(0, 1000), time_at(0.2, 1000), time_at(1, 300)
    (0, 200, 299)
    """
    return min(round(share * length), length - 1)


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
        return f"the model's own denoising loss, mean of {many(self._draws, 'draw')} an image"

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


class PIAConfig(ComponentConfig):
    """Where the probe is looked at, and how."""

    time: float = Field(
        0.2, gt=0, le=1, description="time that is attacked, as a share of T (the paper: 0.2)"
    )
    power: float = Field(4.0, gt=0, description="p of the l_p norm of the error (the paper: 4)")
    normalise: bool = Field(
        False, description="scale the probe to the mean size of N(0, 1) noise: the variant PIAN"
    )


class PIA:
    """Score: minus `|| eps(z, 0) - eps(z_t, t) ||_p` with z_t noised by `eps(z, 0)` itself.

    The proximal initialisation: what the model takes for noise at time 0 stands in for the noise
    of a groundtruth trajectory. On training images it is found again more exactly. Two evaluations
    of the network an image, nothing is drawn. The norm is the mean over elements to the power 1/p.

    Reference: Kong et al., arXiv 2305.18355.
    """

    Config = PIAConfig
    uses = ("diffusion",)

    def __init__(self, config: PIAConfig) -> None:
        self.config = config

    def describe(self, target: Target) -> str:
        """Return what is compared."""
        return "whether the noise found in the clean image is found again further on (PIA)"

    def score(self, target: Target, images: Images) -> np.ndarray:
        """Return minus the error of each image, (N,)."""
        generator: Any = target.generator
        diffusion: Diffusion = generator.diffusion()
        time = time_at(self.config.time, len(diffusion.kept))

        def work(x: Tensor, noise: Noise) -> Tensor:
            z = diffusion.clean(x)
            probe = diffusion.noise(z, torch.zeros(len(z), dtype=torch.int64, device=z.device))
            if self.config.normalise:
                size = probe.abs().flatten(1).mean(1).clamp_min(1e-12)
                probe = probe * (math.sqrt(2 / math.pi) / size).reshape(-1, *[1] * (z.dim() - 1))
            t = torch.full((len(z),), time, device=z.device)
            wrong = diffusion.noise(diffusion.noised(z, probe, t), t) - probe
            power = self.config.power
            return -((wrong.abs() ** power).flatten(1).mean(1) ** (1 / power))  # (B,)

        return target.each(images, work)
