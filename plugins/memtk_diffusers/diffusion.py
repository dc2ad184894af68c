"""diffusers' U-Net, trained on pixels or on latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from memtk.imaging.patches import fold, unfold
from memtk.interfaces import (
    ConditionClasses,
    Diffusion,
    Generator,
    ImageSpec,
    Phase,
    Turn,
    check_guidance,
    guided,
)
from memtk.noise import Noise
from memtk_diffusers import networks
from memtk_diffusers.config import PRESETS, Diffusers2dConfig
from memtk_diffusers.noising import Noising, reverse


class Diffusers2d(Generator):
    """A diffusion model of 2D images made of diffusers' UNet2DModel and its schedulers.

    In pixel space there is one phase, `diffusion`, on the (folded) images. In latent space the
    phase `autoencoder` comes before it (AutoencoderKL, with L1 and KL), and the latents of the
    frozen autoencoder are scaled to unit spread.

    The preset `paper-xray` has the layers, rates and schedule of the 2D model of Dar et al., arXiv
    2402.01054, in diffusers' networks: no discriminator, no perceptual term and no text encoder.

    References: Ho et al., arXiv 2006.11239; Rombach et al., arXiv 2112.10752.
    """

    Config = Diffusers2dConfig
    of_sampling: ClassVar = frozenset({"guidance"})
    presets: ClassVar = PRESETS
    config: Diffusers2dConfig
    latent_scale: Tensor
    reach: Tensor

    def __init__(self, config: Diffusers2dConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        networks.check_shape(config, spec)
        self.noised_shape = networks.noised_shape(config, spec)
        self.noising = Noising(config)
        if config.space == "latent":
            self.autoencoder = networks.autoencoder(config, spec)
            self.autoencoder.to(memory_format=torch.channels_last)
        self.classes = ConditionClasses(spec.conditions, "diffusers2d")
        check_guidance(config.guidance, spec.conditions)
        self.unet = networks.unet(config, spec, self.classes.count)
        self.register_buffer("latent_scale", torch.tensor(1.0))
        self.register_buffer("reach", torch.tensor(1.0))  # largest absolute clean value

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases in the order in which they are trained."""
        c = self.config
        denoising = Turn("unet", self.unet.parameters, self._diffusion_loss, c.unet_rate)
        if c.space == "pixel":
            return (Phase("diffusion", c.diffusion, (denoising,)),)
        coding = Turn(
            "autoencoder", self.autoencoder.parameters, self._coding_loss, c.autoencoder_rate
        )
        return (
            Phase("autoencoder", c.autoencoder, (coding,)),
            Phase("diffusion", c.diffusion, (denoising,), encode=self.encode, begin=self._measure),
        )

    def blocks_of(self, phase: str) -> list[nn.Module]:
        """Return the levels of the autoencoder, or those of the U-Net."""
        unet = self.unet
        groups: list[Any] = [unet.down_blocks, [unet.mid_block], unet.up_blocks]
        if phase == "autoencoder":
            encoder, decoder = self.autoencoder.encoder, self.autoencoder.decoder
            groups = [encoder.down_blocks, [encoder.mid_block]]
            groups += [[decoder.mid_block], decoder.up_blocks]
        return [block for group in groups for block in group]

    def encode(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to mean and spread of their latents, one after the other."""
        folded = fold(x, self.config.patch).contiguous(memory_format=torch.channels_last)
        latents = self.autoencoder.encode(folded).latent_dist
        return torch.cat([latents.mean, latents.std], dim=1)  # (B, 2L, h, w)

    def decode(self, z: Tensor) -> Tensor:
        """Map unscaled latents, or folded pixels, (B, L, h, w) to images (B, C, H, W)."""
        if self.config.space == "latent":
            z = self.autoencoder.decode(z.contiguous(memory_format=torch.channels_last)).sample
        return unfold(z, self.config.patch)

    @property
    def reconstruct(self) -> Callable[[Tensor], Tensor] | None:
        """The autoencoder's round trip by the mean of the latents; None in pixel space."""
        return self._round_trip if self.config.space == "latent" else None

    def sample(self, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """Return one image (C, H, W) for each stream, by reversing the noising."""
        told = self.classes(condition, len(noise)).to(self.latent_scale.device)  # (B,)

        def network(x: Tensor, t: Tensor) -> Tensor:
            return guided(self._predict, x, t, told, self.classes.none, self.config.guidance)

        x = noise.normal(*self.noised_shape).to(self.latent_scale.device)  # (B, L, h, w)
        scheduler = self.noising.sampler(float(self.reach))
        steps = self.config.sampling_steps
        if len(x):
            x = reverse(scheduler, network, x, steps, noise.generators())
        return self.decode(x / self.latent_scale).float().clamp(-1, 1)

    def denoising_loss(self, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        """Return the squared error (B,) of denoising images (B, C, H, W) at times `t` (B,)."""
        return self._errors(self.encode(x) if self.config.space == "latent" else x, t, noise)

    def diffusion(self) -> Diffusion:
        """Return the noising process of the scaled latents (or folded pixels) and the network's."""

        def clean(x: Tensor) -> Tensor:
            if self.config.space == "pixel":
                return fold(x, self.config.patch)
            return self.encode(x).float().chunk(2, dim=1)[0] * self.latent_scale

        def noise(x: Tensor, t: Tensor) -> Tensor:
            told = self.classes(None, len(x)).to(x.device)
            return self.noising.noise_in(x, self._predict(x, t, told), t)

        return Diffusion(self.noising.kept, clean, noise)

    def _predict(self, x: Tensor, t: Tensor, told: Tensor) -> Tensor:
        """Return what the U-Net predicts of rows at times `t`, told their classes (B,)."""
        classes = told if self.spec.conditions else None
        predicted: Tensor = self.unet(x, t, class_labels=classes).sample.float()
        return predicted

    def _round_trip(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x).chunk(2, dim=1)[0]).float().clamp(-1, 1)

    def _draw(self, posterior: Tensor, noise: Noise) -> Tensor:
        mean, sigma = posterior.chunk(2, dim=1)
        return mean + sigma * noise.normal(*self.noised_shape).to(mean)

    def _coding_loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        posterior = self.encode(x)
        y = self.decode(self._draw(posterior, noise))
        terms = {"l1": (y.float() - x).abs().mean()}
        if self.config.kl_weight:
            terms["kl"] = self.config.kl_weight * divergence(*posterior.chunk(2, dim=1))
        return terms

    def _measure(self, batches: Iterable[Tensor]) -> None:
        """Find the spread and the largest value of the latents of the whole training set."""
        count, total, squares, largest = 0, 0.0, 0.0, 0.0
        for posterior in batches:
            mean, sigma = posterior.double().chunk(2, dim=1)
            count += mean.numel()
            total += float(mean.sum())
            squares += float((mean**2 + sigma**2).sum())
            largest = max(largest, float(mean.abs().max()))
        variance = squares / count - (total / count) ** 2
        scale = max(variance, 1e-12) ** -0.5
        self.latent_scale.fill_(scale)
        self.reach.fill_(largest * scale)

    def _diffusion_loss(
        self, rows: Tensor, noise: Noise, condition: Tensor | None = None
    ) -> dict[str, Tensor]:
        t = noise.integers(self.config.timesteps)  # (B,)
        return {"mse": self._errors(rows, t, noise, condition).mean()}

    def _errors(
        self, rows: Tensor, t: Tensor, noise: Noise, condition: Tensor | None = None
    ) -> Tensor:
        """Return (B,) for images, or for means and spreads of latents."""
        if self.config.space == "latent":
            z = self._draw(rows.float(), noise) * self.latent_scale
        else:
            z = fold(rows, self.config.patch)  # (B, L, h, w)
        eps = noise.normal(*self.noised_shape).to(z)
        told = self.classes(condition, len(z)).to(z.device)
        if condition is not None:
            told = self.classes.dropped(told, noise, self.config.condition_dropout)
        predicted = self._predict(self.noising.add_noise(z, eps, t), t, told)
        wrong = predicted - self.noising.target(z, eps, t)
        return (wrong**2).flatten(1).mean(1)  # (B,)


def divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Return KL(N(mean, sigma^2) || N(0, 1)) of latents (B, L, h, w): summed, mean over B."""
    mean, variance = mean.float(), sigma.float() ** 2
    terms = mean**2 + variance - variance.clamp(min=1e-20).log() - 1
    return 0.5 * terms.flatten(1).sum(1).mean()
