"""MedDiff as a generator."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from memtk.errors import UserError
from memtk.interfaces import Diffusion, Generator, ImageSpec, Phase, Turn
from memtk.noise import Noise
from memtk_meddiff import published
from memtk_meddiff.config import PRESETS, MedDiffConfig, check_shape, latent_shape, unet_dim
from memtk_meddiff.diffusion import CosineSchedule, FactorisedUNet
from memtk_meddiff.layers import ResidualBlock
from memtk_meddiff.losses import PerceptualDistance
from memtk_meddiff.vqgan import VQGAN

BETAS = (0.5, 0.9)
"""Adam's decay rates for the VQ-GAN and its discriminators."""


class MedDiff3d(Generator):
    """A VQ-GAN of volumes, then a diffusion model of its latents before quantisation.

    Two phases: `vqgan` (L1, commitment, perceptual where its weights are at hand; against two
    discriminators from `discriminator_start` on) and `diffusion` (L1 error of the noise predicted
    in the latents of the frozen VQ-GAN, scaled to [-1, 1] by the range of its codebook). A phase
    whose weights come from a published file is left out.

    The losses of `vqgan` depend on the whole batch, through the codebook and the batch norms of
    the discriminators: every process computes all of it, and it cannot be split.

    References: Khader et al., "Denoising diffusion probabilistic models for 3D medical image
    generation", Scientific Reports 13 (2023) 7303; used by Dar et al., arXiv 2402.01054.

    Raises (in `__init__`):
        UserError: for a shape that it cannot take, or a file that does not fit.
    """

    Config = MedDiffConfig
    config: MedDiffConfig
    presets: ClassVar = PRESETS

    def __init__(self, config: MedDiffConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        check_shape(config, spec)
        self.latent_shape = latent_shape(config, spec)
        self.vqgan = VQGAN(config, spec.channels, _perceptual(config, spec))
        self.unet = FactorisedUNet(
            config.latent_channels,
            unet_dim(config, spec),
            config.unet_multiples,
            config.unet_groups,
            config.unet_heads,
            config.unet_head_channels,
        )
        self.schedule = CosineSchedule(config.timesteps)
        self._trained = published.load(config, self.vqgan, self.unet)

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases that are left to train, in order."""
        c, vqgan = self.config, self.vqgan
        generator = Turn("generator", vqgan.generator, vqgan.generator_loss, c.vqgan_rate, BETAS)
        discriminators = Turn(
            "discriminators",
            vqgan.discriminators,
            vqgan.discriminator_loss,
            c.discriminator_rate,
            BETAS,
        )
        unet = Turn("unet", self.unet.parameters, self._diffusion_loss, c.unet_rate)
        phases = (
            Phase(
                "vqgan",
                c.vqgan,
                (generator, discriminators),
                whole_batch=True,
                crops=partial(check_shape, c, unet=False),
            ),
            Phase("diffusion", c.diffusion, (unet,), encode=vqgan.encode),
        )
        return tuple(phase for phase in phases if phase.name not in self._trained)

    def blocks_of(self, phase: str) -> list[nn.Module]:
        """Return the residual blocks of the VQ-GAN, or the levels of the U-Net."""
        if phase == "diffusion":
            return [*self.unet.down, self.unet.middle, *self.unet.up]
        return [module for module in self.vqgan.modules() if isinstance(module, ResidualBlock)]

    def scale(self, z: Tensor) -> Tensor:
        """Map latents (B, L, *s) linearly, the codebook's range to [-1, 1]."""
        low, high = self.vqgan.codebook.bounds()
        return (z - low) / (high - low) * 2 - 1

    def unscale(self, z: Tensor) -> Tensor:
        """Undo `scale`."""
        low, high = self.vqgan.codebook.bounds()
        return (z + 1) / 2 * (high - low) + low

    def reconstruct(self, x: Tensor) -> Tensor:
        """Send images (B, C, *S) through the VQ-GAN and back, by the nearest codes."""
        return self.vqgan.decode(self.vqgan.encode(x)).float().clamp(-1, 1)

    def sample(self, noise: Noise) -> Tensor:
        """Return one image (C, *S) for each stream, by reversing the noising step by step."""
        x = noise.normal(*self.latent_shape).to(self.schedule.kept.device)  # (B, L, *s)
        for now in reversed(range(self.config.timesteps)):
            t = torch.full((len(x),), now, device=x.device)
            fresh = noise.normal(*self.latent_shape).to(x) if now else None
            x = self.schedule.back(x, self.unet(x, t).float(), now, fresh)
        return self.vqgan.decode(self.unscale(x)).float().clamp(-1, 1)

    def denoising_loss(self, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        """Return the L1 error (B,) of the noise predicted in images (B, C, *S) at times `t`."""
        return self._errors(self.vqgan.encode(x), t, noise)

    def diffusion(self) -> Diffusion:
        """Return the noising process of the scaled latents, and the noise that the U-Net finds."""
        return Diffusion(
            self.schedule.kept,
            lambda x: self.scale(self.vqgan.encode(x).float()),
            lambda x, t: self.unet(x, t).float(),
        )

    def _diffusion_loss(self, z: Tensor, noise: Noise) -> dict[str, Tensor]:
        t = noise.integers(self.config.timesteps)  # (B,)
        return {"l1": self._errors(z, t, noise).mean()}

    def _errors(self, z: Tensor, t: Tensor, noise: Noise) -> Tensor:
        z = self.scale(z.float())  # (B, L, *s)
        eps = noise.normal(*self.latent_shape).to(z)
        predicted = self.unet(self.schedule.add_noise(z, eps, t), t).float()
        return (predicted - eps).abs().flatten(1).mean(1)  # (B,)


def _perceptual(config: MedDiffConfig, spec: ImageSpec) -> PerceptualDistance | None:
    if not config.perceptual_files or not config.perceptual_weight:
        return None
    if spec.channels not in (1, 3):
        raise UserError(
            f"perceptual_files: VGG16 sees one channel or three, the images have {spec.channels}. "
            "Leave perceptual_files empty."
        )
    return PerceptualDistance(config.perceptual_files)
