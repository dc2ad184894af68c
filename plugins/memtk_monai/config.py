"""What can be set of MONAI's latent diffusion model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from memtk.interfaces import ComponentConfig, PhaseSettings


class LatentDiffusionConfig(ComponentConfig):
    """The networks and losses of MONAI's 3d_ldm tutorial by default.

    Without its perceptual term, which needs weights of others, and without the quirks of its
    scripts, which the presets `paper-mrnet` and `paper-pccta` switch on.
    """

    channels: tuple[PositiveInt, ...] = Field(
        (64, 128, 256), min_length=1, description="of the autoencoder, from full resolution down"
    )
    latent_channels: int = Field(8, ge=1, description="channels L of the latents")
    res_blocks: int = Field(2, ge=1, description="residual blocks a level of the autoencoder")
    patch: int = Field(
        1, ge=1, description="side of the blocks of voxels turned into channels before all else"
    )
    norm_groups: int = Field(32, ge=1, description="most groups of a group norm")
    kl_weight: float = Field(1e-7, ge=0, description="of the latents' divergence from N(0, 1)")
    perceptual_weight: float = Field(
        0.0, ge=0, description="of the perceptual distance (LPIPS, SqueezeNet); 0: no such term"
    )
    perceptual_weights: tuple[str, ...] = Field(
        (), description="files of its weights, which are not downloaded; without them an error "
        "says where they are published"
    )  # fmt: skip
    perceptual_slices: float = Field(
        0.2, gt=0, le=1, description="part of the slices along each axis of a volume that it sees"
    )
    adversarial_weight: float = Field(0.01, ge=0, description="of the discriminator's verdict")
    adversarial_activation: Literal["leaky_relu", "none"] = Field(
        "leaky_relu", description="of the verdict, before it is compared with 1 and 0"
    )
    discriminator_channels: int = Field(32, ge=1, description="channels of its first layer")
    discriminator_layers: int = Field(3, ge=1, description="layers between first and last")
    discriminator_norm: Literal["instance", "batch"] = Field(
        "instance",
        description="batch: the images of a batch depend on each other, so that it is never split "
        "(accumulate must be 1, and every process computes all of it)",
    )
    autoencoder_rate: float = Field(1e-5, gt=0, description="learning rate of the autoencoder")
    adversarial_rate: float = Field(
        1e-5, gt=0, description="learning rate of the autoencoder against the discriminator"
    )
    discriminator_rate: float = Field(1e-5, gt=0, description="learning rate of the discriminator")
    unet_channels: tuple[PositiveInt, ...] = Field(
        (256, 256, 512), min_length=1, description="of the U-Net, from the latents' resolution down"
    )
    unet_res_blocks: int = Field(2, ge=1, description="residual blocks a level of the U-Net")
    unet_attention: tuple[bool, ...] = Field(
        (False, True, True),
        description="levels of the U-Net with attention; the last stands for "
        "those not given. The middle always has it",
    )
    unet_head_channels: int = Field(64, ge=1, description="channels of an attention head")
    unet_rate: float = Field(1e-5, gt=0, description="learning rate of the U-Net")
    process: Literal["diffusion", "rectified-flow"] = Field(
        "diffusion",
        description="how latents become noise: by a schedule of betas, or along a straight line "
        "(MONAI's RFlowScheduler), for which beta_*, prediction and sampler are not used",
    )
    flow_times: Literal["uniform", "logit-normal"] = Field(
        "uniform", description="rectified-flow: how the times of training are drawn"
    )
    timesteps: int = Field(1000, ge=2, description="steps T of the noising process")
    beta_schedule: Literal["linear_beta", "scaled_linear_beta", "sigmoid_beta", "cosine"] = Field(
        "scaled_linear_beta", description="course of the noise over T"
    )
    beta_start: float = Field(0.0015, gt=0, lt=1, description="first beta; not used by cosine")
    beta_end: float = Field(0.0195, gt=0, lt=1, description="last beta; not used by cosine")
    prediction: Literal["epsilon", "v_prediction"] = Field(
        "epsilon", description="what the U-Net predicts: the noise, or the velocity"
    )
    sampler: Literal["ddpm", "ddim"] = Field(
        "ddpm", description="ddpm: fresh noise at every step; ddim: none"
    )
    sampling_steps: int = Field(1000, ge=1, description="steps of sampling, T at most")
    clip: Literal["off", "range", "unit"] = Field(
        "off",
        description="range: keep predicted latents in the range of the training latents; unit: in "
        "[-1, 1], which cuts off latents of unit spread, as MONAI's samplers do by default",
    )
    guidance: float = Field(
        1.0,
        ge=0,
        le=100,
        description="scale of classifier-free guidance, of a conditional model: 0 forgets the "
        "condition, 1 takes it as learned, more presses it; from 1 away it samples twice as long",
    )
    condition_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of the rows that training hides the condition of"
    )
    sampling_scale: Literal["measured", "one"] = Field(
        "measured",
        description="what sampled latents are divided by before they are decoded: the scale that "
        "the U-Net was trained with, or 1, as in the tutorial's script",
    )
    autoencoder: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 1_000, "batch_size": 8}),
        description="training without discriminator",
    )
    adversarial: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 149_000, "batch_size": 8}),
        description="further training of the autoencoder, against a discriminator",
    )
    diffusion: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 150_000, "batch_size": 20}),
        description="training of the U-Net",
    )
