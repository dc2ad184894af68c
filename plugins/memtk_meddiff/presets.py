"""The reference method's settings, and some for small machines."""

from __future__ import annotations

from typing import Any

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
        | {
            "steps": 1800,
            "batch_size": 64,
            "clip_norm": 1.0,
            "ema_decay": 0.998,
            "ema_every": 1,
        },
    },
}
