"""What can be set of the models, and presets from seconds to the reference method's sizes."""

from __future__ import annotations

from typing import Any, Literal

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


AS_IT_IS: dict[str, Any] = {"clip_norm": None}


def paper_3d(autoencoder: int, adversarial: int) -> dict[str, Any]:
    """Return MONAI's 3d_ldm scripts at the paper's batch sizes and 150 000 iterations.

    With what these scripts do besides what they say, because it was run:

    - the learning rate of the diffusion model falls tenfold with its 100th and its 1000th epoch
      (the scheduler is stepped when an epoch begins: after 99 and after 999 of them);
    - the sampler keeps predicted latents in [-1, 1], and decodes them without undoing their scale;
    - the discriminator joins after six epochs; gradients are not clipped, weights not averaged.

    What the paper leaves open: the iterations of the autoencoder (taken as those of the diffusion
    model) and its crops. The scripts' own, `crop=112,128,80` of volumes of 240x240x155, do not lie
    in the paper's, which are taken whole. The scale of the latents is that of the whole
    training set here, of its first batch there; mixed precision is bfloat16 here, float16 there.

    Args:
        autoencoder: steps without the discriminator, six epochs of the training set.
        adversarial: steps with it.
    """
    batches = AS_IT_IS | {"batch_size": 8, "precision": "float32"}
    return {
        "perceptual_weight": 0.001,
        "clip": "unit",
        "sampling_scale": "one",
        "autoencoder": batches | {"steps": autoencoder},
        "adversarial": batches | {"steps": adversarial},
        "diffusion": AS_IT_IS
        | {
            "steps": 150_000,
            "batch_size": 20,
            "schedule": "milestones",
            "milestones": (99, 999),
            "milestone_unit": "epochs",
            "gamma": 0.1,
        },
    }


PAPER_MRNET = paper_3d(678, 149_322)
"""904 volumes of 32x256x256 (D, H, W): 113 autoencoder steps an epoch.

Parameters: autoencoder 21.0 million, U-Net 191.2, discriminator 2.8.
"""

PAPER_PCCTA = paper_3d(186, 149_814)
"""242 volumes of 64^3: 31 autoencoder steps an epoch. The networks are the same."""

PAPER_XRAY: dict[str, Any] = {
    "channels": (64, 128, 128, 128),
    "latent_channels": 3,
    "kl_weight": 1e-8,
    "perceptual_weight": 0.002,
    "adversarial_weight": 0.005,
    "adversarial_activation": "none",
    "discriminator_channels": 64,
    "discriminator_norm": "batch",
    "autoencoder_rate": 5e-5,
    "adversarial_rate": 5e-5,
    "discriminator_rate": 1e-4,
    "unet_channels": (256, 512, 768),
    "unet_head_channels": 768,
    "unet_rate": 2.5e-5,
    "beta_end": 0.0205,
    "prediction": "v_prediction",
    "autoencoder": {"steps": 525, "batch_size": 96},
    "adversarial": {"steps": 7_350, "batch_size": 96},
    "diffusion": AS_IT_IS | {"steps": 200_000, "batch_size": 150, "weight_decay": 0.01},
}
"""generative_chestxray on 10 000 images of 512x512, made unconditional.

Without its text encoder and the cross-attention to it; how the paper took them out is not said, nor
its batch sizes: 150 makes its 200 000 iterations the 3 000 epochs that it names. The autoencoder is
trained as there: 75 epochs in batches of 96, the discriminator from the sixth on (105 steps an
epoch). One attention head a level, as there. Sampled in 1000 steps, as the paper says; the
repository takes 200 of DDIM: `sampler=ddim`, `sampling_steps=200`. The scale of the latents is
measured here and a constant (0.3) there, which was measured once. Mixed precision is bfloat16 here.

Parameters: autoencoder 4.6 million, U-Net 171.3, discriminator 2.8.
"""

SMALL: dict[str, Any] = {
    "kl_weight": 1e-6,
    "res_blocks": 1,
    "patch": 2,
    "norm_groups": 8,
    "discriminator_channels": 8,
    "discriminator_layers": 1,
    "autoencoder_rate": 2e-3,
    "adversarial_rate": 1e-3,
    "discriminator_rate": 5e-4,
    "unet_attention": (False,),
    "unet_head_channels": 32,
    "unet_rate": 1e-3,
    "prediction": "v_prediction",
    "sampler": "ddim",
}

# Where channels are few, convolutions of volumes go backward faster in float32 on a CPU.
FEW_CHANNELS = {"batch_size": 8, "schedule": "one-cycle", "precision": "float32"}

SMOKE = SMALL | {
    "channels": (8, 16),
    "latent_channels": 4,
    "unet_channels": (16,),
    "unet_head_channels": 8,
    "sampling_steps": 5,
    "autoencoder": {"steps": 10} | FEW_CHANNELS,
    "adversarial": {"steps": 4} | FEW_CHANNELS,
    "diffusion": {
        "steps": 20,
        "batch_size": 16,
        "schedule": "one-cycle",
        "ema_decay": 0.9,
        "precision": "float32",
    },
}

DEMO = SMALL | {
    "channels": (32, 64),
    "patch": 4,
    "autoencoder_rate": 5e-3,
    "unet_channels": (64,),
    "unet_res_blocks": 1,
    "sampling_steps": 50,
}

DEMO_DIFFUSION = {"batch_size": 64, "schedule": "one-cycle", "ema_decay": 0.998}

PRESETS_3D: dict[str, dict[str, Any]] = {
    "paper-mrnet": PAPER_MRNET,
    "paper-pccta": PAPER_PCCTA,
    "paper": PAPER_MRNET,
    "smoke": SMOKE,
    "demo": DEMO
    | {
        "latent_channels": 8,
        # By the cosine schedule more of the steps are at noise that an image is still seen through:
        # with half of the steps it gives as many images back.
        "beta_schedule": "cosine",
        "unet_rate": 2e-3,
        "sampling_steps": 25,
        "autoencoder": {"steps": 900} | FEW_CHANNELS,
        "adversarial": {"steps": 40} | FEW_CHANNELS,
        "diffusion": DEMO_DIFFUSION | {"steps": 700, "ema_decay": 0.99},
    },
}

PRESETS_2D: dict[str, dict[str, Any]] = {
    "paper-xray": PAPER_XRAY,
    "paper": PAPER_XRAY,
    "smoke": SMOKE,
    "demo": DEMO
    | {
        "latent_channels": 4,
        "beta_schedule": "cosine",
        "unet_rate": 3e-3,
        "sampling_steps": 25,
        "autoencoder": {"steps": 800} | FEW_CHANNELS,
        "adversarial": {"steps": 60} | FEW_CHANNELS,
        "diffusion": DEMO_DIFFUSION | {"steps": 1100, "ema_decay": 0.99},
    },
}
