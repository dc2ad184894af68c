"""Sizes of the model, from one that is made in seconds to the reference method's."""

from __future__ import annotations

from typing import Any

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
        "diffusion": {
            "steps": 2500,
            "batch_size": 64,
            "schedule": "one-cycle",
            "ema_decay": 0.998,
        },
    },
    "paper-xray": {},
}
