"""PIA: the noise that a model finds in a clean image, as a probe further on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from memtk.interfaces import ComponentConfig, Diffusion, Images, Target
from memtk.noise import Noise
from memtk_attacks.times import time_at


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
