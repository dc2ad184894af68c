"""Convolutions of volumes that repeat the border, and the residual block made of them."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

Triple = tuple[int, int, int]


class SameConv(nn.Conv3d):
    """A convolution after which a side has n / stride voxels; the border is repeated.

    Along each axis kernel - stride voxels are added, the odd one in front.
    """

    def __init__(self, inward: int, outward: int, kernel: int, stride: Triple = (1, 1, 1)) -> None:
        super().__init__(inward, outward, kernel, stride)
        self.border = _border(kernel, stride)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S/stride)."""
        return super().forward(_repeat_border(input, self.border))


class SameConvTranspose(nn.ConvTranspose3d):
    """A transposed convolution after which a side has n * stride voxels; the border is repeated."""

    def __init__(self, inward: int, outward: int, kernel: int, stride: Triple) -> None:
        super().__init__(inward, outward, kernel, stride, padding=kernel - 1)
        self.border = _border(kernel, stride)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (B, C, *S) to (B, C', *S*stride)."""
        return super().forward(_repeat_border(input, self.border), output_size)


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), kernels of 3, channels as they are."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = group_norm(channels, groups)
        self.conv1 = SameConv(channels, channels, 3)
        self.norm2 = group_norm(channels, groups)
        self.conv2 = SameConv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to the same shape."""
        y = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(y)))


def group_norm(channels: int, groups: int) -> nn.GroupNorm:
    """Return a group norm of `groups` groups, or of fewer where they do not divide `channels`."""
    return nn.GroupNorm(math.gcd(groups, channels), channels, eps=1e-6)


def _border(kernel: int, stride: Triple) -> tuple[int, ...]:
    """Voxels to add, in the order of `F.pad`: last axis first, front before back."""
    added = [kernel - step for step in reversed(stride)]
    return tuple(side for n in added for side in (n - n // 2, n // 2))


def _repeat_border(x: Tensor, border: tuple[int, ...]) -> Tensor:
    return F.pad(x, border, mode="replicate") if any(border) else x
