"""A generator that has learnt its training images by rote: what an attack must see through."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from memtk.interfaces import (
    ComponentConfig,
    Diffusion,
    Generator,
    ImageSpec,
    Phase,
    PhaseSettings,
)
from memtk.noise import Noise

LENGTH = 50
"""Times of its noising process, T."""


class Rote(Generator):
    """The best possible diffusion model of its training images, and of nothing else.

    Its samples are its training images, each in turn. Its network is the noise that explains `z_t`
    best if nothing exists but the training images x_i:

        eps = (z_t - sqrt(a_t) sum_i w_i x_i) / sqrt(1 - a_t),
        w_i ~ exp(-|z_t - sqrt(a_t) x_i|^2 / (2 (1 - a_t))).
    """

    images: Tensor

    def __init__(self, config: ComponentConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.register_buffer("images", torch.empty(0, spec.channels, *spec.shape))

    def phases(self) -> tuple[Phase, ...]:
        """Return one phase, which looks at every image once and takes no step."""
        settings = PhaseSettings.model_validate({"steps": 0})
        return (Phase("rote", settings, begin=self.learn),)

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Keep images (N, C, *S)."""
        self.images = torch.cat(list(batches))

    def sample(self, noise: Noise) -> Tensor:
        """Return a training image for each stream, (B, C, *S)."""
        return self.images[torch.tensor(noise.indices, dtype=torch.int64) % len(self.images)]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return images (B, C, *S) as they are: it has no autoencoder."""
        return x

    def diffusion(self) -> Diffusion:
        """Return the process on the images themselves."""
        kept = torch.linspace(0.999, 0.01, LENGTH)
        return Diffusion(kept=kept, clean=lambda x: x, noise=self._noise)

    def denoising_loss(self, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        """Return the mean squared error of the noise that is found, (B,)."""
        eps = noise.normal(*x.shape[1:])
        found = self._noise(self.diffusion().noised(x, eps, t), t)
        return (found - eps).square().flatten(1).mean(1)

    def _noise(self, z: Tensor, t: Tensor) -> Tensor:
        kept = self.diffusion().kept[t].reshape(-1, 1).double()  # (B, 1)
        rows, known = z.flatten(1).double(), self.images.flatten(1).double()
        squares = (rows[:, None] - kept.sqrt()[..., None] * known).square().sum(2)  # (B, N)
        weights = torch.softmax(-squares / (2 * (1 - kept)), 1)
        eps = (rows - kept.sqrt() * (weights @ known)) / (1 - kept).sqrt()
        return eps.to(z).reshape(z.shape)
