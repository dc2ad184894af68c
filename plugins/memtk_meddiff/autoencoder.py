"""Encoder and decoder of the VQ-GAN."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from memtk_meddiff.convolutions import (
    ResidualBlock,
    SameConv,
    SameConvTranspose,
    Triple,
    group_norm,
)


def strides(compression: Sequence[int]) -> list[Triple]:
    """Return the stride of each level. All axes are halved first that have to be halved at all.

    >>> strides((2, 4, 4))
    [(2, 2, 2), (1, 2, 2)]
    """
    halvings = [int(math.log2(factor)) for factor in compression]
    return [
        tuple(2 if n > level else 1 for n in halvings)  # type: ignore[misc]
        for level in range(max(halvings))
    ]


class Shrink(nn.Module):
    """One level of the encoder."""

    def __init__(self, inward: int, outward: int, stride: Triple, groups: int) -> None:
        super().__init__()
        self.down = SameConv(inward, outward, 4, stride)
        self.residual = ResidualBlock(outward, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S/stride)."""
        return self.residual(self.down(x))


class Grow(nn.Module):
    """One level of the decoder."""

    def __init__(self, inward: int, outward: int, stride: Triple, groups: int) -> None:
        super().__init__()
        self.up = SameConvTranspose(inward, outward, 4, stride)
        self.residual1 = ResidualBlock(outward, groups)
        self.residual2 = ResidualBlock(outward, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S*stride)."""
        return self.residual2(self.residual1(self.up(x)))


class Encoder(nn.Module):
    """Channels double at each level, sides halve: (B, C, *S) -> (B, base 2^levels, *s)."""

    def __init__(self, channels: int, base: int, compression: Sequence[int], groups: int) -> None:
        super().__init__()
        self.first = SameConv(channels, base, 3)
        self.levels = nn.Sequential(
            *(
                Shrink(base * 2**i, base * 2 ** (i + 1), stride, groups)
                for i, stride in enumerate(strides(compression))
            )
        )
        self.width = base * 2 ** len(self.levels)
        self.last = nn.Sequential(group_norm(self.width, groups), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, width, *s)."""
        return self.last(self.levels(self.first(x)))


class Decoder(nn.Module):
    """The way back: the first level keeps its channels, each other one halves them."""

    def __init__(self, channels: int, base: int, compression: Sequence[int], groups: int) -> None:
        super().__init__()
        steps = strides(compression)
        width = base * 2 ** len(steps)
        self.first = nn.Sequential(group_norm(width, groups), nn.SiLU())
        inward = [width, *[width // 2**i for i in range(len(steps) - 1)]]
        self.levels = nn.Sequential(
            *(Grow(inward[i], width // 2**i, stride, groups) for i, stride in enumerate(steps))
        )
        self.last = SameConv(2 * base, channels, 3)

    def forward(self, h: Tensor) -> Tensor:
        """Map (B, width, *s) to (B, C, *S); no bound is set on the values."""
        return self.last(self.levels(self.first(h)))
