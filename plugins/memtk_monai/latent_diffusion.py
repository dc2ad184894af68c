"""MONAI's latent diffusion model as a generator."""

from __future__ import annotations

from collections.abc import Iterable
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
from memtk_monai import networks, perceptual
from memtk_monai.config import PRESETS_2D, PRESETS_3D, LatentDiffusionConfig
from memtk_monai.schedule import Flow, Schedule


class MonaiLatentDiffusion(Generator):
    """An autoencoder with a KL term, then a diffusion model of its latents.

    Three phases: `autoencoder` (L1, KL and, if asked for, a perceptual distance), `adversarial` (a
    discriminator besides), `diffusion` (on the latents of the frozen autoencoder, scaled to unit
    spread over the whole training set). With `process=rectified-flow` the latter is a flow along
    straight lines.

    References: Rombach et al., arXiv 2112.10752; Pinaya et al., arXiv 2209.07162; used by Dar et
    al., arXiv 2402.01054.
    """

    Config = LatentDiffusionConfig
    of_sampling: ClassVar = frozenset({"guidance"})
    config: LatentDiffusionConfig
    latent_scale: Tensor
    latent_low: Tensor
    latent_high: Tensor

    def __init__(self, config: LatentDiffusionConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        networks.check_shape(config, spec)
        self._perceptual: perceptual.Perceptual | None = None
        if config.perceptual_weight:
            perceptual.check_images(spec)
            self._perceptual = perceptual.Perceptual(config.perceptual_weights)
        self.latent_shape = networks.latent_shape(config, spec)
        self._format = torch.channels_last_3d if spec.dims == 3 else torch.channels_last
        self.autoencoder = networks.autoencoder(config, spec)
        self.autoencoder.to(memory_format=self._format)  # type: ignore[call-overload]
        self.discriminator = networks.discriminator(config, spec)
        self.classes = ConditionClasses(spec.conditions, f"monai{spec.dims}d")
        check_guidance(config.guidance, spec.conditions)
        self.unet = networks.unet(config, spec, self.classes.count)
        flows = config.process == "rectified-flow"
        self.schedule: Schedule | Flow = Flow(config) if flows else Schedule(config)
        self.register_buffer("latent_scale", torch.tensor(1.0))
        self.register_buffer("latent_low", torch.tensor(-1.0))
        self.register_buffer("latent_high", torch.tensor(1.0))

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases in the order in which they are trained."""
        c = self.config
        autoencoder = Turn(
            "autoencoder", self.autoencoder.parameters, self._plain_loss, c.autoencoder_rate
        )
        fooling = Turn(
            "autoencoder", self.autoencoder.parameters, self._adversarial_loss, c.adversarial_rate
        )
        judging = Turn(
            "discriminator",
            self.discriminator.parameters,
            self._discriminator_loss,
            c.discriminator_rate,
        )
        coupled = c.discriminator_norm == "batch"
        denoising = Turn("unet", self.unet.parameters, self._diffusion_loss, c.unet_rate)
        return (
            Phase("autoencoder", c.autoencoder, (autoencoder,), crops=self._check_crop),
            Phase(
                "adversarial",
                c.adversarial,
                (fooling, judging),
                whole_batch=coupled,
                crops=self._check_crop,
            ),
            Phase("diffusion", c.diffusion, (denoising,), encode=self.encode, begin=self._measure),
        )

    def blocks_of(self, phase: str) -> list[nn.Module]:
        """Return the residual blocks of the autoencoder, or the levels of the U-Net."""
        coder, unet = self.autoencoder, self.unet
        groups: list[Any] = [coder.encoder.blocks, coder.decoder.blocks]
        if phase == "diffusion":
            groups = [unet.down_blocks, [unet.middle_block], unet.up_blocks]
        return [block for group in groups for block in group]

    def encode(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) to mean and spread of their latents, one after the other."""
        folded = fold(x, self.config.patch).contiguous(memory_format=self._format)
        mean, sigma = self.autoencoder.encode(folded)
        return torch.cat([mean, sigma], dim=1)  # (B, 2L, *s)

    def decode(self, z: Tensor) -> Tensor:
        """Map unscaled latents (B, L, *s) to images (B, C, *S)."""
        folded = self.autoencoder.decode(z.contiguous(memory_format=self._format))
        return unfold(folded, self.config.patch)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Send images (B, C, *S) through the autoencoder and back, by the mean of their latents."""
        return self.decode(self.encode(x).chunk(2, dim=1)[0]).float().clamp(-1, 1)

    def sample(self, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """Return one image (C, *S) for each stream, by reversing the noising of its latents."""
        told = self.classes(condition, len(noise)).to(self.latent_scale.device)  # (B,)
        x = noise.normal(*self.latent_shape).to(self.latent_scale.device)  # (B, L, *s)
        times = self.schedule.times(self.config.sampling_steps)
        for now, then in zip(times, [*times[1:], -1], strict=True):
            t = torch.full((len(x),), now, device=x.device)
            predicted = guided(self._predict, x, t, told, self.classes.none, self.config.guidance)
            x_0, eps = self.schedule.split(x, predicted, t)
            if self.config.clip != "off":
                x_0 = self._clipped(x_0)
                eps = self.schedule.noise_in(x, x_0, t)
            fresh = noise.normal(*self.latent_shape).to(x) if self._ancestral(then) else None
            x = self.schedule.back(x_0, eps, now, then, fresh)
        return self.decode(self._unscaled(x)).float().clamp(-1, 1)

    def denoising_loss(self, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        """Return the squared error (B,) of denoising images (B, C, *S) at times `t` (B,)."""
        return self._errors(self.encode(x), t, noise)

    def diffusion(self) -> Diffusion:
        """Return the noising process of the scaled latents, and the noise that the U-Net finds."""

        def noise(x: Tensor, t: Tensor) -> Tensor:
            told = self.classes(None, len(x)).to(x.device)
            if isinstance(self.schedule, Flow):  # of unit length elsewhere, not here
                x = x * self.schedule.length(t, x)
            return self.schedule.split(x, self._predict(x, t, told), t)[1]

        return Diffusion(
            self.schedule.kept,
            lambda x: self._scaled(self.encode(x).float().chunk(2, dim=1)[0]),
            noise,
        )

    def _scaled(self, z: Tensor) -> Tensor:
        return z * self.latent_scale

    def _unscaled(self, x: Tensor) -> Tensor:
        return x if self.config.sampling_scale == "one" else x / self.latent_scale

    def _clipped(self, x_0: Tensor) -> Tensor:
        if self.config.clip == "unit":
            return x_0.clamp(-1, 1)
        return x_0.clamp(self.latent_low, self.latent_high)

    def _ancestral(self, then: int) -> bool:
        flows = isinstance(self.schedule, Flow)
        return self.config.sampler == "ddpm" and then >= 0 and not flows

    def _round_trip(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        posterior = self.encode(x)
        mean, sigma = posterior.chunk(2, dim=1)
        return self.decode(self._draw(posterior, noise)), mean, sigma

    def _draw(self, posterior: Tensor, noise: Noise) -> Tensor:
        mean, sigma = posterior.chunk(2, dim=1)
        return mean + sigma * noise.normal(*mean.shape[1:]).to(mean)

    def _check_crop(self, spec: ImageSpec) -> None:
        networks.check_shape(self.config, spec, unet=False)
        if self.config.perceptual_weight:
            perceptual.check_images(spec)

    def _rebuilding(self, x: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction (B, C, *S), and what it costs without a discriminator."""
        y, mean, sigma = self._round_trip(x, noise)
        kl = networks.divergence(mean, sigma)
        terms = {"l1": (y.float() - x).abs().mean(), "kl": self.config.kl_weight * kl}
        if self._perceptual is not None:
            seen = perceptual.distance(self._perceptual, x, y, self.config.perceptual_slices, noise)
            terms["perceptual"] = self.config.perceptual_weight * seen
        return y, terms

    def _plain_loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        return self._rebuilding(x, noise)[1]

    def _adversarial_loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        y, terms = self._rebuilding(x, noise)
        c = self.config
        fooling = networks.fooling(self.discriminator, y, c.adversarial_activation)
        return terms | {"adversarial": c.adversarial_weight * fooling}

    def _discriminator_loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self._round_trip(x, noise)[0].to(x)
        way = self.config.adversarial_activation
        told = networks.telling_apart(self.discriminator, x, fake, way)
        return {"discriminator": told}

    def _measure(self, batches: Iterable[Tensor]) -> None:
        """Find the spread and the range of the latents of the whole training set."""
        count, total, squares, spread = 0, 0.0, 0.0, 0.0
        low, high = float("inf"), float("-inf")
        for posterior in batches:
            mean, sigma = posterior.double().chunk(2, dim=1)
            count += mean.numel()
            total += float(mean.sum())
            squares += float((mean**2).sum())
            spread += float((sigma**2).sum())
            low, high = min(low, float(mean.min())), max(high, float(mean.max()))
        variance = squares / count - (total / count) ** 2 + spread / count
        scale = max(variance, 1e-12) ** -0.5
        self.latent_scale.fill_(scale)
        self.latent_low.fill_(low * scale)
        self.latent_high.fill_(high * scale)

    def _diffusion_loss(
        self, posterior: Tensor, noise: Noise, condition: Tensor | None = None
    ) -> dict[str, Tensor]:
        t = self.schedule.draw(noise)  # (B,)
        return {"mse": self._errors(posterior, t, noise, condition).mean()}

    def _predict(self, x: Tensor, t: Tensor, told: Tensor) -> Tensor:
        """Return what the U-Net predicts of rows at times `t`, told their classes (B,)."""
        classes = told if self.spec.conditions else None
        predicted: Tensor = self.unet(x, t, class_labels=classes).float()
        return predicted

    def _errors(
        self, posterior: Tensor, t: Tensor, noise: Noise, condition: Tensor | None = None
    ) -> Tensor:
        z = self._scaled(self._draw(posterior.float(), noise))  # (B, L, *s)
        eps = noise.normal(*self.latent_shape).to(z)
        told = self.classes(condition, len(z)).to(z.device)
        if condition is not None:
            told = self.classes.dropped(told, noise, self.config.condition_dropout)
        predicted = self._predict(self.schedule.add_noise(z, eps, t), t, told)
        wrong = predicted - self.schedule.target(z, eps, t)
        return (wrong**2).flatten(1).mean(1)  # (B,)


class MonaiLatentDiffusion3d(MonaiLatentDiffusion):
    """The model for volumes."""

    presets: ClassVar = PRESETS_3D


class MonaiLatentDiffusion2d(MonaiLatentDiffusion):
    """The model for 2D images."""

    presets: ClassVar = PRESETS_2D
