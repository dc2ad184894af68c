"""Losses of the autoencoder and of the discriminator."""

from __future__ import annotations

from typing import Literal

from monai.networks.nets import PatchDiscriminator
from torch import Tensor
from torch.nn import functional as F

Activation = Literal["leaky_relu", "none"]


def divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Return KL(N(mean, sigma^2) || N(0, 1)) of latents (B, L, *s): summed, mean over the batch."""
    mean, variance = mean.float(), sigma.float() ** 2
    terms = mean**2 + variance - variance.clamp(min=1e-20).log() - 1
    return 0.5 * terms.flatten(1).sum(1).mean()


def verdict(judged: Tensor, truth: float, activation: Activation) -> Tensor:
    """Return the mean squared distance of what a discriminator says from 1 (real) or 0 (fake).

    Mao et al., arXiv 1611.04076. MONAI sends it through a leaky ReLU (slope 0.05) before.
    """
    judged = judged.float()
    if activation == "leaky_relu":
        judged = F.leaky_relu(judged, 0.05)
    return (judged - truth).square().mean()


def fooling(discriminator: PatchDiscriminator, fake: Tensor, activation: Activation) -> Tensor:
    """Return how far the discriminator is from taking `fake` (B, C, *S) for real."""
    return verdict(discriminator(fake)[-1], 1, activation)


def telling_apart(
    discriminator: PatchDiscriminator, real: Tensor, fake: Tensor, activation: Activation
) -> Tensor:
    """Return the discriminator's own loss on real and reconstructed images.

    It looks at one kind after the other: with batch norm, what it says of an image depends on the
    others that it sees at once.
    """
    of_fake, of_real = (discriminator(x)[-1] for x in (fake, real))
    return 0.5 * (verdict(of_real, 1, activation) + verdict(of_fake, 0, activation))
