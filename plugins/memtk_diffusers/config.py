"""What can be set of a diffusion model of diffusers' networks, and presets."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from memtk.interfaces import ComponentConfig, PhaseSettings


class Diffusers2dConfig(ComponentConfig):
    """By default the size of the reference method's model of 512x512 X-rays."""

    space: Literal["latent", "pixel"] = Field(
        "latent", description="what is noised: latents of an autoencoder, or the pixels themselves"
    )
    patch: int = Field(
        1, ge=1, description="side of the blocks of pixels turned into channels before all else"
    )
    norm_groups: int = Field(32, ge=1, description="most groups of a group norm")
    channels: tuple[PositiveInt, ...] = Field(
        (64, 128, 128, 128),
        min_length=1,
        description="of the autoencoder, from full resolution down; not used in pixel space",
    )
    latent_channels: int = Field(3, ge=1, description="channels L of the latents")
    res_blocks: int = Field(2, ge=1, description="residual blocks a level of the autoencoder")
    autoencoder_attention: bool = Field(
        False, description="attention in the middle of the autoencoder's two halves"
    )
    kl_weight: float = Field(
        1e-8, ge=0, description="of the latents' divergence from N(0, 1), beside L1; 0: off"
    )
    autoencoder_rate: float = Field(5e-5, gt=0, description="learning rate of the autoencoder")
    unet_channels: tuple[PositiveInt, ...] = Field(
        (256, 512, 768),
        min_length=1,
        description="of the U-Net, from the resolution of what is noised down",
    )
    unet_res_blocks: int = Field(2, ge=1, description="residual blocks a level of the U-Net")
    unet_attention: tuple[bool, ...] = Field(
        (False, True, True),
        description="levels of the U-Net with attention; the last stands for those not given",
    )
    unet_middle_attention: bool = Field(True, description="attention in the middle of the U-Net")
    unet_head_channels: int = Field(256, ge=1, description="channels of an attention head")
    unet_rate: float = Field(2.5e-5, gt=0, description="learning rate of the U-Net")
    timesteps: int = Field(1000, ge=2, description="steps T of the noising process")
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = Field(
        "scaled_linear", description="course of the noise over T"
    )
    beta_start: float = Field(
        0.0015, gt=0, lt=1, description="first beta; not used by squaredcos_cap_v2"
    )
    beta_end: float = Field(
        0.0205, gt=0, lt=1, description="last beta; not used by squaredcos_cap_v2"
    )
    prediction: Literal["epsilon", "v_prediction", "sample"] = Field(
        "v_prediction",
        description="what the U-Net predicts: the noise, the velocity, or the clean image",
    )
    sampler: Literal["ddpm", "ddim", "dpm-solver", "euler", "euler-ancestral"] = Field(
        "ddim",
        description="ddpm and euler-ancestral draw fresh noise at every step, the others none",
    )
    sampling_steps: int = Field(200, ge=1, description="steps of sampling, T at most")
    clip: Literal["off", "range"] = Field(
        "off",
        description="range: keep what is predicted to be clean in the range of the training set "
        "(ddpm and ddim)",
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
    autoencoder: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 100_000, "batch_size": 96}),
        description="training of the autoencoder; none in pixel space",
    )
    diffusion: PhaseSettings = Field(
        PhaseSettings.model_validate({"steps": 200_000, "batch_size": 150}),
        description="training of the U-Net",
    )

    @model_validator(mode="after")
    def _steps_fit(self) -> Diffusers2dConfig:
        if self.sampling_steps > self.timesteps:
            raise ValueError(
                f"sampling_steps = {self.sampling_steps} is more than timesteps = {self.timesteps}"
            )
        if self.sampler == "ddim" and self.timesteps % self.sampling_steps:
            near = max(n for n in range(1, self.sampling_steps) if self.timesteps % n == 0)
            raise ValueError(
                f"sampling_steps = {self.sampling_steps} does not divide timesteps = "
                f"{self.timesteps}, as ddim needs; the next smaller that does is {near}"
            )
        return self

    @model_validator(mode="after")
    def _clipping_is_possible(self) -> Diffusers2dConfig:
        if self.clip == "range" and self.sampler not in ("ddpm", "ddim"):
            raise ValueError(f"clip = range is for ddpm and ddim, not for sampler {self.sampler}")
        return self


# Where channels are few, an autoencoder's convolutions are as fast in float32 on a CPU.
PLAIN = {"schedule": "one-cycle", "precision": "float32"}

SMALL: dict[str, Any] = {
    "patch": 4,
    "norm_groups": 8,
    "latent_channels": 4,
    "res_blocks": 1,
    "kl_weight": 1e-6,
    "unet_res_blocks": 1,
    "unet_attention": (False,),
    "unet_middle_attention": False,
    "unet_head_channels": 32,
    "unet_rate": 1e-3,
    "sampling_steps": 50,
}

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": SMALL
    | {
        "patch": 2,
        "channels": (8, 16),
        "unet_channels": (16,),
        "unet_head_channels": 8,
        "autoencoder_rate": 2e-3,
        "sampling_steps": 5,
        "autoencoder": PLAIN | {"steps": 10, "batch_size": 8},
        "diffusion": PLAIN | {"steps": 20, "batch_size": 16, "ema_decay": 0.9},
    },
    "demo": SMALL
    | {
        "channels": (32, 64),
        "autoencoder_rate": 5e-3,
        "unet_channels": (64,),
        "autoencoder": PLAIN | {"steps": 800, "batch_size": 16},
        "diffusion": {"steps": 2500, "batch_size": 64, "schedule": "one-cycle", "ema_decay": 0.998},
    },
    "paper-xray": {},
}
