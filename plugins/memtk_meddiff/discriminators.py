"""Patch discriminators of slices and of volumes, and what they are for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOST_CHANNELS = 512


class PatchDiscriminator(nn.Module):
    """A verdict on every patch of an image, and the features that led to it.

    Kernels of 4; `layers` convolutions halve the sides, two more do not; channels double up to
    512; batch norm in all layers but the first and the last; leaky ReLU of slope 0.2. It is only
    ever used in training, so that no averages for evaluation are kept.

    Reference: Isola et al., arXiv 1611.07004, appendix 6.1.2.

    Args:
        dims: 2 or 3.
        channels: C of the images.
        width: channels of the first layer.
        layers: convolutions of stride 2.
    """

    def __init__(self, dims: int, channels: int, width: int, layers: int) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
        widths = [min(width * 2**i, MOST_CHANNELS) for i in range(layers + 1)]
        self.layers = nn.ModuleList(
            [nn.Sequential(conv(channels, width, 4, 2, padding=2), nn.LeakyReLU(0.2))]
        )
        for i in range(1, layers + 1):
            self.layers.append(
                nn.Sequential(
                    conv(widths[i - 1], widths[i], 4, 2 if i < layers else 1, padding=2),
                    norm(widths[i], track_running_stats=False),
                    nn.LeakyReLU(0.2),
                )
            )
        self.layers.append(nn.Sequential(conv(widths[-1], 1, 4, 1, padding=2)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (B, C, *S) to the output of every layer; the last is the verdict."""
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


def telling_apart(discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Return the hinge loss: the mean over both kinds of relu(1 - verdict), relu(1 + verdict)."""
    of_real = discriminator(real)[-1].float()
    of_fake = discriminator(fake)[-1].float()
    return 0.5 * ((1 - of_real).relu().mean() + (1 + of_fake).relu().mean())


def fooling(discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the generator's hinge loss, -mean(verdict), and the distance of the features.

    The latter is the L1 distance of each layer but the last, summed with a weight of
    4 / (halving layers + 1). Wang et al., arXiv 1711.11585, equation 4.
    """
    with torch.no_grad():
        aims = discriminator(real)[:-1]
    *features, verdict = discriminator(fake)
    # The reference writes 4 / (3 + 1) whatever the number of layers; it has three.
    weight = 4 / len(aims)
    apart = [(f.float() - a.float()).abs().mean() for f, a in zip(features, aims, strict=True)]
    return -verdict.float().mean(), weight * torch.stack(apart).sum()
