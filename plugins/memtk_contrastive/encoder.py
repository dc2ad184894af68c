"""The reference method's encoder: strided convolutions and residual blocks, at any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


def strides(shape: Sequence[int], bottom: int) -> list[tuple[int, ...]]:
    """Return the stride of each level: an axis is halved while it stays `bottom` or longer.

    >>> strides((8, 32), 4)
    [(2, 2), (1, 2), (1, 2)]
    """
    levels, size = [], list(shape)
    while any(n // 2 >= bottom for n in size):
        level = tuple(2 if n // 2 >= bottom else 1 for n in size)
        size = [n // s for n, s in zip(size, level, strict=True)]
        levels.append(level)
    return levels


class SameConv(nn.Module):
    """Convolution (B, c, *S) -> (B, c', *S/stride) whose border repeats the outermost voxels."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: Sequence[int], dims: int
    ) -> None:
        super().__init__()
        conv: Any = nn.Conv3d if dims == 3 else nn.Conv2d
        self.conv = conv(inputs, outputs, kernel, stride=tuple(stride))
        # Kernel minus stride in all, the larger half in front; `pad` names the last axis first.
        pads = [(math.ceil((kernel - s) / 2), (kernel - s) // 2) for s in reversed(stride)]
        self.pad = [side for pair in pads for side in pair]

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        return self.conv(F.pad(x, self.pad, mode="replicate") if any(self.pad) else x)


class Residual(nn.Module):
    """Two rounds of norm, SiLU and convolution, added to the input (B, c, *S)."""

    def __init__(self, channels: int, groups: int, dims: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            norm(channels, groups),
            nn.SiLU(),
            SameConv(channels, channels, 3, [1] * dims, dims),
            norm(channels, groups),
            nn.SiLU(),
            SameConv(channels, channels, 3, [1] * dims, dims),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return input plus correction."""
        return x + self.body(x)


class Encoder(nn.Module):
    """Images (B, C, *S) -> features (B, bottleneck, *bottom).

    Width doubles at every level, from `width` at full resolution. Bottom and 16 wide, a 32x256x256
    image ends at 8x4x4x4 after six levels of up to 1024 channels (arXiv 2402.01054 and its code).

    Args:
        channels: C.
        shape: S.
        width: channels at full resolution.
        bottleneck: channels at the bottom.
        bottom: shortest side at the bottom; an axis of S that is no multiple of it by a power of
            two ends between `bottom` and twice that.
        groups: of the group norms; fewer where a level's width asks for it.
        stem_stride: of the first convolution; more than 1 skips the work at full resolution.
    """

    def __init__(
        self,
        channels: int,
        shape: Sequence[int],
        width: int = 16,
        bottleneck: int = 8,
        bottom: int = 4,
        groups: int = 32,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        dims = len(shape)
        size = [n // stem_stride for n in shape]
        kernel = 3 if stem_stride == 1 else 2 * stem_stride
        layers: list[nn.Module] = [SameConv(channels, width, kernel, [stem_stride] * dims, dims)]
        for stride in strides(size, bottom):
            layers += [
                SameConv(width, 2 * width, 4, stride, dims),
                Residual(2 * width, groups, dims),
            ]
            width = 2 * width
            size = [n // s for n, s in zip(size, stride, strict=True)]
        layers += [norm(width, groups), nn.SiLU(), SameConv(width, bottleneck, 1, [1] * dims, dims)]
        self.layers = nn.Sequential(*layers)
        self.features = bottleneck * math.prod(size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the flattened features (B, F)."""
        return self.layers(x).flatten(1)


def norm(channels: int, groups: int) -> nn.GroupNorm:
    """Return a group norm with the largest number of groups that divides both."""
    return nn.GroupNorm(math.gcd(channels, groups), channels, eps=1e-6)
