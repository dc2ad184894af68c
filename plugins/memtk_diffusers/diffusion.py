"""Diffusion of pixels or of latents with diffusers' networks, in 2D."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, UNet2DModel
from torch import Tensor, nn

from memtk.errors import UserError
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
    in_float32,
)
from memtk.noise import Noise
from memtk_diffusers.config import PRESETS, Diffusers2dConfig
from memtk_diffusers.noising import Noising, reverse


def check_shape(config: Diffusers2dConfig, spec: ImageSpec, unet: bool = True) -> None:
    """See that the images are 2D and can be halved at each level of autoencoder, and U-Net.

    Raises:
        UserError: if not, with the nearest shape that can.
    """
    size = "x".join(map(str, spec.shape))
    if spec.dims != 2:
        raise UserError(f"diffusers2d works on 2D images; these are {size}")
    unit = shrinkage(config) * 2 ** (unet * (len(config.unet_channels) - 1))
    nearest = [unit * max(1, round(n / unit)) for n in spec.shape]
    if list(spec.shape) != nearest:
        raise UserError(
            f"diffusers2d cannot take images of {size}: with patch = {config.patch} and these "
            f"levels each side must be a multiple of {unit}.\n"
            f"The nearest shape that it takes is {'x'.join(map(str, nearest))}."
        )


def shrinkage(config: Diffusers2dConfig) -> int:
    """Return how many pixels a side go into one of what is noised."""
    halvings = len(config.channels) - 1 if config.space == "latent" else 0
    return config.patch * 2**halvings


def noised_shape(config: Diffusers2dConfig, spec: ImageSpec) -> tuple[int, int, int]:
    """Return the shape (L, h, w) of what is noised: latents, or folded pixels."""
    height, width = (n // shrinkage(config) for n in spec.shape)
    latent = config.space == "latent"
    return (config.latent_channels if latent else _folded(config, spec), height, width)


def autoencoder(config: Diffusers2dConfig, spec: ImageSpec) -> Any:
    """Return the KL autoencoder of folded images, a diffusers `AutoencoderKL`."""
    levels = len(config.channels)
    return AutoencoderKL(
        in_channels=_folded(config, spec),
        out_channels=_folded(config, spec),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.channels,
        layers_per_block=config.res_blocks,
        latent_channels=config.latent_channels,
        norm_num_groups=_groups(config.norm_groups, config.channels),
        sample_size=spec.shape[0] // config.patch,
        scaling_factor=1.0,
        mid_block_add_attention=config.autoencoder_attention,
    )


def unet(config: Diffusers2dConfig, spec: ImageSpec, classes: int = 0) -> Any:
    """Return the U-Net of what is noised, a diffusers `UNet2DModel`.

    Args:
        classes: rows of its class embedding; 0: it takes no condition.

    Raises:
        UserError: if the head does not fit the channels of a level with attention.
    """
    levels = len(config.unet_channels)
    given = config.unet_attention[:levels] or (False,)
    attention = [*given, *[given[-1]] * (levels - len(given))]
    within = [*attention[:-1], attention[-1] or config.unet_middle_attention]
    for width, has in zip(config.unet_channels, within, strict=True):
        if has and width % config.unet_head_channels:
            raise UserError(
                f"unet_channels = {config.unet_channels}: {width} has attention and is not a "
                f"multiple of unet_head_channels = {config.unet_head_channels}"
            )
    channels, height, width = noised_shape(config, spec)
    network: Any = UNet2DModel(
        sample_size=(height, width),
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        block_out_channels=config.unet_channels,
        layers_per_block=config.unet_res_blocks,
        attention_head_dim=config.unet_head_channels,
        norm_num_groups=_groups(config.norm_groups, config.unet_channels),
        add_attention=config.unet_middle_attention,
        num_class_embeds=classes or None,
    )
    last = network.conv_out
    network.conv_out = ConvolutionInFloat32(last.in_channels, channels, 3, padding=1)
    return network


class ConvolutionInFloat32(nn.Conv2d):
    """A convolution that computes in float32 inside autocast too.

    The U-Net's last layer predicts with all its digits then; and on a CPU the backward pass of a
    bfloat16 convolution to few channels takes longer than that of all other layers together.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the output in float32."""
        with in_float32(input.device):
            return super().forward(input.float())


def _folded(config: Diffusers2dConfig, spec: ImageSpec) -> int:
    """Return the channels of a folded image."""
    return spec.channels * config.patch**2


def _groups(most: int, channels: Sequence[int]) -> int:
    """Return the largest number of groups that divides `most` and every level's channels."""
    return math.gcd(most, *channels)


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
        check_shape(config, spec)
        self.noised_shape = noised_shape(config, spec)
        self.noising = Noising(config)
        if config.space == "latent":
            self.autoencoder = autoencoder(config, spec)
            self.autoencoder.to(memory_format=torch.channels_last)
        self.classes = ConditionClasses(spec.conditions, "diffusers2d")
        check_guidance(config.guidance, spec.conditions)
        self.unet = unet(config, spec, self.classes.count)
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
            Phase(
                "autoencoder", c.autoencoder, (coding,), crops=partial(check_shape, c, unet=False)
            ),
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
        return mean + sigma * noise.normal(*mean.shape[1:]).to(mean)

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
