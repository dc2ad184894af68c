"""The image shapes that the networks take, and the sizes that follow from them."""

from __future__ import annotations

from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk_meddiff.config import MedDiffConfig


def check_shape(config: MedDiffConfig, spec: ImageSpec) -> None:
    """See that every side can be halved as often as both networks halve it.

    Raises:
        UserError: if not, with the nearest shape that can; or if nothing is compressed at all.
    """
    if max(config.compression) == 1:
        raise UserError(
            "compression = 1,1,1: the VQ-GAN makes one axis smaller at least, as in "
            "compression=2,2,2"
        )
    halved = 2 ** (len(config.unet_multiples) - 1)  # the U-Net leaves the depth as it is
    units = [
        config.patch * factor * (1 if axis == 0 else halved)
        for axis, factor in enumerate(config.compression)
    ]
    nearest = [unit * max(1, round(n / unit)) for n, unit in zip(spec.shape, units, strict=True)]
    if list(spec.shape) != nearest:
        asked, fits, unit = (_text(sides) for sides in (spec.shape, nearest, units))
        raise UserError(
            f"meddiff3d cannot take images of {asked}: with these levels the sides must be "
            f"multiples of {unit}.\nThe nearest shape that it takes is {fits}."
        )


def latent_shape(config: MedDiffConfig, spec: ImageSpec) -> tuple[int, ...]:
    """Return the latents' shape (L, d, h, w)."""
    sides = zip(spec.shape, config.compression, strict=True)
    return (config.latent_channels, *[n // (config.patch * factor) for n, factor in sides])


def unet_dim(config: MedDiffConfig, spec: ImageSpec) -> int:
    """Return the channels of the U-Net's first level: the side of the latents' slices, or as set.

    Raises:
        UserError: if it does not fit the group norms.
    """
    side = max(latent_shape(config, spec)[2:])
    dim = config.unet_dim or side
    if dim % config.unet_groups or dim < 4:
        better = config.unet_groups * max(1, round(dim / config.unet_groups))
        better = better if better >= 4 else config.unet_groups * -(-4 // config.unet_groups)
        why = "" if config.unet_dim else " (the side of the latents, as in the reference)"
        raise UserError(
            f"unet_dim = {dim}{why} is not a multiple of unet_groups = {config.unet_groups} from "
            f"4 on: set unet_dim={better}"
        )
    return dim


def _text(sides: object) -> str:
    return "x".join(map(str, sides))  # type: ignore[call-overload]
