"""The reference method's settings, and some for small machines."""

from __future__ import annotations

from typing import Any

PAPER_2D: dict[str, Any] = {
    "channels": (64, 128, 128, 128),
    "latent_channels": 3,
    "kl_weight": 1e-8,
    "adversarial_weight": 0.005,
    "discriminator_channels": 64,
    "autoencoder_rate": 5e-5,
    "adversarial_rate": 5e-5,
    "discriminator_rate": 1e-4,
    "unet_channels": (256, 512, 768),
    "unet_head_channels": 256,
    "unet_rate": 2.5e-5,
    "beta_end": 0.0205,
    "prediction": "v_prediction",
    "diffusion": {"steps": 200_000, "batch_size": 150},
}
"""The 2D model of the reference method, without its text encoder; 3D: the defaults."""

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

PRESETS_3D: dict[str, dict[str, Any]] = {
    "paper": {},
    "smoke": SMOKE,
    "demo": SMALL
    | {
        "channels": (32, 64),
        "patch": 4,
        "autoencoder_rate": 5e-3,
        "latent_channels": 8,
        "unet_channels": (64,),
        "unet_res_blocks": 1,
        "sampling_steps": 50,
        "autoencoder": {"steps": 1100} | FEW_CHANNELS,
        "adversarial": {"steps": 60} | FEW_CHANNELS,
        "diffusion": {
            "steps": 1400,
            "batch_size": 64,
            "schedule": "one-cycle",
            "ema_decay": 0.998,
        },
    },
}

PRESETS_2D: dict[str, dict[str, Any]] = {
    "paper": PAPER_2D,
    "smoke": SMOKE,
    "demo": SMALL
    | {
        "channels": (32, 64),
        "patch": 4,
        "autoencoder_rate": 5e-3,
        "latent_channels": 4,
        "unet_channels": (64,),
        "unet_res_blocks": 1,
        "sampling_steps": 50,
        "autoencoder": FEW_CHANNELS | {"steps": 800, "batch_size": 16},
        "adversarial": FEW_CHANNELS | {"steps": 60, "batch_size": 16},
        "diffusion": {
            "steps": 2500,
            "batch_size": 64,
            "schedule": "one-cycle",
            "ema_decay": 0.998,
        },
    },
}
