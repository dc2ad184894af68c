"""Losses of the autoencoder and of the discriminator."""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch import Tensor

_verdict = PatchAdversarialLoss(criterion="least_squares")


def divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Return KL(N(mean, sigma^2) || N(0, 1)) of latents (B, L, *s): summed, mean over the batch."""
    mean, variance = mean.float(), sigma.float() ** 2
    terms = mean**2 + variance - variance.clamp(min=1e-20).log() - 1
    return 0.5 * terms.flatten(1).sum(1).mean()


def fooling(discriminator: PatchDiscriminator, fake: Tensor) -> Tensor:
    """Return how far the discriminator is from taking `fake` (B, C, *S) for real; least squares."""
    return _verdict(discriminator(fake)[-1].float(), target_is_real=True, for_discriminator=False)


def telling_apart(discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's own loss on real and reconstructed images; least squares."""
    judged = discriminator(torch.cat([real, fake]))[-1].float()
    of_real, of_fake = judged.chunk(2)
    real_loss = _verdict(of_real, target_is_real=True, for_discriminator=True)
    return 0.5 * (real_loss + _verdict(of_fake, target_is_real=False, for_discriminator=True))
