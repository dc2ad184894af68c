"""What can be set of MedDiff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from memtk.interfaces import COUNTS_STEPS, ComponentConfig, PhaseSettings

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
