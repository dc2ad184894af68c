"""What can be set of MedDiff, presets, and the image shapes that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from memtk.errors import UserError
from memtk.interfaces import COUNTS_STEPS, ComponentConfig, ImageSpec, PhaseSettings

QUIRKS: dict[str, Any] = {"update_codebook_twice": True}
"""What the reference's code does without saying so.

It looks every batch up in the codebook in both turns, in training mode both times, and each of
these look-ups moves the codes.
"""

PAPER_MRNET: dict[str, Any] = QUIRKS
"""Volumes of 32x256x256: latents 8x8x64x64, the rest by default.

From the published commands, not from the code's own defaults (240 channels, 256 channels of the
latents, 2048 codes, no perceptual term); batch sizes and steps from the paper. The reference
starts its discriminators at step 10000 of a counter that both optimisers move: at 5000 here. Its
learning rate follows the batch size, 3e-4 / 8 * 8 / 4. Its code accumulates two batches for a step
of the U-Net; whether the paper's 20 is one of them or both is not known, it is the whole here. The
settings `objective: pred_x0` and `sampling_timesteps: 250` of its files are never read: noise is
predicted, and all 300 steps are taken. Which of the two published compressions the paper used,
4,4,4 or 8,8,8, is not known either; this is the later one. The average of the weights follows
memtk's own warm-up instead of beginning after 2000 steps.
"""

PAPER_PCCTA: dict[str, Any] = QUIRKS | {"compression": (2, 2, 2)}
"""Volumes of 64x64x64: latents 8x32x32x32.

The paper does not say what it used; this is the published command for other volumes of 64^3.
"""

SMALL: dict[str, Any] = {
    "norm_groups": 8,
    "compression": (2, 2, 2),
    "perceptual_weight": 0.0,
    "discriminator_channels": 8,
    "discriminator_layers": 2,
    "discriminator_rate": 5e-4,
    "slice_weight": 0.02,
    "volume_weight": 0.02,
    "feature_weight": 0.1,
    "unet_rate": 1e-3,
}
"""Adversarial weights are small: with few steps the reconstruction has to come first."""

# On a CPU, layers of so few channels gain nothing from bfloat16.
FEW_CHANNELS: dict[str, Any] = {"schedule": "one-cycle", "precision": "float32"}

PRESETS: dict[str, dict[str, Any]] = {
    "paper-mrnet": PAPER_MRNET,
    "paper-pccta": PAPER_PCCTA,
    "smoke": SMALL
    | {
        "base_channels": 8,
        "patch": 2,
        "latent_channels": 4,
        "codes": 32,
        "discriminator_channels": 4,
        "discriminator_layers": 1,
        "discriminator_start": 0,
        "vqgan_rate": 2e-3,
        "unet_dim": 8,
        "unet_multiples": (1, 2),
        "unet_heads": 2,
        "unet_head_channels": 8,
        "timesteps": 8,
        "vqgan": FEW_CHANNELS | {"steps": 12, "batch_size": 8},
        "diffusion": FEW_CHANNELS
        | {"steps": 20, "batch_size": 16, "clip_norm": 1.0, "ema_decay": 0.9, "ema_every": 1},
    },
    "demo": SMALL
    | {
        "patch": 4,
        "codes": 1024,
        "restart_below": 0.1,
        "discriminator_start": 1440,
        "vqgan_rate": 4e-3,
        "unet_dim": 32,
        "unet_multiples": (1, 2),
        "unet_heads": 2,
        "unet_rate": 2e-3,
        "vqgan": {"steps": 1500, "batch_size": 8, "schedule": "one-cycle"},
        "diffusion": FEW_CHANNELS
        | {"steps": 1800, "batch_size": 64, "clip_norm": 1.0, "ema_decay": 0.998, "ema_every": 1},
    },
}


VQGAN: dict[str, Any] = {"steps": 150_000, "batch_size": 8}
DIFFUSION: dict[str, Any] = {
    "steps": 150_000,
    "batch_size": 20,
    "clip_norm": None,
    "ema_decay": 0.995,
    "ema_every": 10,
    "precision": "float32",
}

Factor = Literal[1, 2, 4, 8, 16, 32]


class MedDiffConfig(ComponentConfig):
    """The model of the reference method for 32x256x256 by default, but for the code's quirks."""

    base_channels: int = Field(16, ge=1, description="channels of the VQ-GAN's first convolution")
    compression: tuple[Factor, Factor, Factor] = Field(
        (4, 4, 4), description="how many times smaller the latents are along each axis"
    )
    patch: int = Field(
        1, ge=1, description="side of the blocks of voxels turned into channels before all else"
    )
    latent_channels: int = Field(8, ge=1, description="channels L of the latents and of a code")
    norm_groups: int = Field(32, ge=1, description="most groups of a group norm of the VQ-GAN")
    codes: int = Field(16_384, ge=2, description="entries of the codebook")
    code_decay: float = Field(0.99, ge=0, lt=1, description="decay of the codebook's averages")
    restart_below: float = Field(
        1.0, ge=0, description="a code used less often a step (averaged) restarts; 0: never"
    )
    update_codebook_twice: bool = Field(
        False, description="let the codebook learn in the discriminator's turn too"
    )
    commitment_weight: float = Field(0.25, ge=0, description="of the latents' distance from codes")
    l1_weight: float = Field(4.0, ge=0, description="of the L1 error of the reconstruction")
    perceptual_weight: float = Field(
        4.0, ge=0, description="of a slice's perceptual distance, if perceptual_files is set"
    )
    perceptual_files: tuple[str, ...] = Field(
        (), description="files of the weights of VGG16 and LPIPS; none: without that term"
    )
    slice_weight: float = Field(1.0, ge=0, description="of the verdict on slices")
    volume_weight: float = Field(1.0, ge=0, description="of the verdict on volumes")
    feature_weight: float = Field(
        4.0, ge=0, description="of the distance of discriminators' features"
    )
    discriminator_channels: int = Field(64, ge=1, description="channels of their first layer")
    discriminator_layers: int = Field(3, ge=1, description="layers of theirs that halve the sides")
    discriminator_start: int = Field(
        5_000,
        ge=0,
        description="step of the phase vqgan from which there are discriminators",
        json_schema_extra=COUNTS_STEPS,
    )
    vqgan_rate: float = Field(7.5e-5, gt=0, description="learning rate of the VQ-GAN")
    discriminator_rate: float = Field(7.5e-5, gt=0, description="learning rate of discriminators")
    unet_dim: int | None = Field(
        None, ge=4, description="channels of the U-Net's first level; none: side of the latents"
    )
    unet_multiples: tuple[PositiveInt, ...] = Field(
        (1, 2, 4, 8), min_length=1, description="channels of each of its levels, in unet_dim"
    )
    unet_groups: int = Field(8, ge=1, description="groups of its group norms")
    unet_heads: int = Field(8, ge=1, description="heads of its attentions")
    unet_head_channels: int = Field(32, ge=2, multiple_of=2, description="channels of a head")
    unet_rate: float = Field(1e-4, gt=0, description="learning rate of the U-Net")
    timesteps: int = Field(300, ge=2, description="steps T of noising, and of sampling")
    vqgan_file: str | None = Field(
        None, description="published checkpoint of a trained VQ-GAN; its phase is left out"
    )
    diffusion_file: str | None = Field(
        None, description="published checkpoint of a trained diffusion model; likewise"
    )
    diffusion_weights: Literal["ema", "model"] = Field(
        "ema", description="which weights of diffusion_file: averaged, or as they were last"
    )
    vqgan: PhaseSettings = Field(
        PhaseSettings.model_validate(VQGAN), description="training of VQ-GAN and discriminators"
    )
    diffusion: PhaseSettings = Field(
        PhaseSettings.model_validate(DIFFUSION), description="training of the U-Net"
    )

    @field_validator("vqgan", "diffusion", mode="before")
    @classmethod
    def _on_top(cls, value: object, info: ValidationInfo) -> object:
        """Let a phase keep its other defaults where some of its settings are given."""
        defaults = VQGAN if info.field_name == "vqgan" else DIFFUSION
        return {**defaults, **value} if isinstance(value, Mapping) else value


def check_shape(config: MedDiffConfig, spec: ImageSpec, unet: bool = True) -> None:
    """See that every side can be halved as often as the VQ-GAN, and the U-Net, halve it.

    Raises:
        UserError: if not, with the nearest shape that can; or if nothing is compressed at all.
    """
    if max(config.compression) == 1:
        raise UserError(
            "compression = 1,1,1: the VQ-GAN makes one axis smaller at least, as in "
            "compression=2,2,2"
        )
    levels = len(config.unet_multiples) if unet else 1
    units = _units(config, levels)
    nearest = [unit * max(1, round(n / unit)) for n, unit in zip(spec.shape, units, strict=True)]
    if list(spec.shape) == nearest:
        return
    asked, fits, unit = (_text(sides) for sides in (spec.shape, nearest, units))
    way = f"The nearest shape that it takes is {fits}"
    for fewer in range(levels - 1, 0, -1):
        if not any(n % side for n, side in zip(spec.shape, _units(config, fewer), strict=True)):
            multiples = "".join(f"{n}," for n in config.unet_multiples[:fewer])
            way += f"; with --set meddiff3d.unet_multiples={multiples} it takes {asked} too"
            break
    raise UserError(
        f"meddiff3d cannot take images of {asked}: with these levels the sides must be "
        f"multiples of {unit}.\n{way}."
    )


def _units(config: MedDiffConfig, levels: int) -> list[int]:
    """Return what the sides are multiples of; the U-Net halves the plane, not the depth."""
    halved = (1, 2 ** (levels - 1), 2 ** (levels - 1))
    return [config.patch * a * b for a, b in zip(config.compression, halved, strict=True)]


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
