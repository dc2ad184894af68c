"""diffusers' networks as a `Config` asks for them, and the image shapes that they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from diffusers import AutoencoderKL, UNet2DModel
from torch import Tensor, nn

from memtk.errors import UserError
from memtk.interfaces import ImageSpec, in_float32
from memtk_diffusers.config import Diffusers2dConfig


def check_shape(config: Diffusers2dConfig, spec: ImageSpec) -> None:
    """See that the images are 2D and both sides can be halved at every level of the networks.

    Raises:
        UserError: if not, with the nearest shape that can.
    """
    size = "x".join(map(str, spec.shape))
    if spec.dims != 2:
        raise UserError(f"diffusers2d works on 2D images; these are {size}")
    unit = shrinkage(config) * 2 ** (len(config.unet_channels) - 1)
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
