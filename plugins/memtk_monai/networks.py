"""MONAI's networks as a `Config` asks for them, the shapes that they take, and their losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from monai.networks.nets import AutoencoderKL, DiffusionModelUNet, PatchDiscriminator
from torch import Tensor, nn
from torch.nn import functional as F

from memtk.errors import UserError
from memtk.interfaces import ImageSpec, in_float32
from memtk_monai.config import LatentDiffusionConfig


def check_shape(config: LatentDiffusionConfig, spec: ImageSpec, unet: bool = True) -> None:
    """See that every side can be halved at every level of the autoencoder, and of the U-Net.

    Raises:
        UserError: if not, with the nearest shape that can.
    """
    halvings = len(config.channels) - 1 + unet * (len(config.unet_channels) - 1)
    unit = config.patch * 2**halvings
    # The discriminator loses a voxel at each of its last two layers, and needs two at its end.
    least = unit * math.ceil(2 ** (config.discriminator_layers - 1) * 8 / unit)
    check_sides(f"monai{spec.dims}d", spec, unit, least)


def check_sides(name: str, spec: ImageSpec, unit: int, least: int = 0) -> None:
    """See that a network takes the images: every side is a multiple of `unit`, at least `least`.

    Raises:
        UserError: if not, with the nearest shape that is.
    """
    nearest = [max(least, unit * max(1, round(n / unit))) for n in spec.shape]
    if list(spec.shape) != nearest:
        asked, fits = ("x".join(map(str, shape)) for shape in (spec.shape, nearest))
        raise UserError(
            f"{name} cannot take images of {asked}: with these levels each side must be a multiple "
            f"of {unit}{f' and at least {least}' if least else ''}.\n"
            f"The nearest shape that it takes is {fits}."
        )


def latent_shape(config: LatentDiffusionConfig, spec: ImageSpec) -> tuple[int, ...]:
    """Return the latents' shape (L, *s)."""
    factor = config.patch * 2 ** (len(config.channels) - 1)
    return (config.latent_channels, *[n // factor for n in spec.shape])


def autoencoder(config: LatentDiffusionConfig, spec: ImageSpec) -> AutoencoderKL:
    """Return the KL autoencoder of folded images, without attention."""
    folded = spec.channels * config.patch**spec.dims
    return AutoencoderKL(
        spatial_dims=spec.dims,
        in_channels=folded,
        out_channels=folded,
        channels=config.channels,
        latent_channels=config.latent_channels,
        num_res_blocks=config.res_blocks,
        norm_num_groups=_groups(config.norm_groups, config.channels),
        attention_levels=[False] * len(config.channels),
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )


def discriminator(config: LatentDiffusionConfig, spec: ImageSpec) -> PatchDiscriminator:
    """Return the patch discriminator of images at full resolution."""
    return PatchDiscriminator(
        spatial_dims=spec.dims,
        channels=config.discriminator_channels,
        in_channels=spec.channels,
        num_layers_d=config.discriminator_layers,
        norm=config.discriminator_norm.upper(),
    )


def unet(config: LatentDiffusionConfig, spec: ImageSpec, classes: int = 0) -> DiffusionModelUNet:
    """Return the diffusion U-Net of the latents.

    Args:
        classes: rows of its class embedding; 0: it takes no condition.

    Raises:
        UserError: if the head does not fit the channels of a level with attention.
    """
    levels = len(config.unet_channels)
    given = config.unet_attention[:levels] or (False,)
    attention = [*given, *[given[-1]] * (levels - len(given))]
    heads = [min(config.unet_head_channels, width) for width in config.unet_channels]
    for width, head in zip(config.unet_channels, heads, strict=True):
        if width % head:
            raise UserError(
                f"unet_channels = {config.unet_channels}: {width} is not a multiple of "
                f"unet_head_channels = {config.unet_head_channels}"
            )
    network = DiffusionModelUNet(
        spatial_dims=spec.dims,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        num_res_blocks=config.unet_res_blocks,
        channels=config.unet_channels,
        attention_levels=attention,
        norm_num_groups=_groups(config.norm_groups, config.unet_channels),
        num_head_channels=heads,
        num_class_embeds=classes or None,
    )
    network.out = InFloat32(*network.out)
    return network


class InFloat32(nn.Sequential):
    """Layers that compute in float32 inside autocast too.

    The U-Net's last layer predicts with all its digits then; and on a CPU the backward pass of a
    bfloat16 convolution to few channels takes longer than that of all other layers together.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the output in float32."""
        with in_float32(x.device):
            return super().forward(x.float())


def _groups(most: int, channels: Sequence[int]) -> int:
    """Return the largest number of groups that divides `most` and every level's channels."""
    return math.gcd(most, *channels)


Activation = Literal["leaky_relu", "none"]


def divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Return KL(N(mean, sigma^2) || N(0, 1)) of latents (B, L, *s): summed, mean over the batch."""
    mean, variance = mean.float(), sigma.float() ** 2
    terms = mean**2 + variance - variance.clamp(min=1e-20).log() - 1
    return 0.5 * terms.flatten(1).sum(1).mean()


def verdict(judged: Tensor, truth: float, activation: Activation) -> Tensor:
    """Return the mean squared distance of what a discriminator says from 1 (real) or 0 (fake).

    Mao et al., arXiv 1611.04076. MONAI sends it through a leaky ReLU (slope 0.05) before.
    """
    judged = judged.float()
    if activation == "leaky_relu":
        judged = F.leaky_relu(judged, 0.05)
    return (judged - truth).square().mean()


def fooling(discriminator: PatchDiscriminator, fake: Tensor, activation: Activation) -> Tensor:
    """Return how far the discriminator is from taking `fake` (B, C, *S) for real."""
    return verdict(discriminator(fake)[-1], 1, activation)


def telling_apart(
    discriminator: PatchDiscriminator, real: Tensor, fake: Tensor, activation: Activation
) -> Tensor:
    """Return the discriminator's own loss on real and reconstructed images.

    It looks at one kind after the other: with batch norm, what it says of an image depends on the
    others that it sees at once.
    """
    of_fake, of_real = (discriminator(x)[-1] for x in (fake, real))
    return 0.5 * (verdict(of_real, 1, activation) + verdict(of_fake, 0, activation))
