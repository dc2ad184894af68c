"""Convolutions of volumes that repeat the border; attention within slices and along the depth."""

from __future__ import annotations

import math
from typing import Literal

import torch
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


BUCKETS = 32
FARTHEST = 32
BASE = 10_000.0


class ChannelNorm(nn.Module):
    """Normalises the channels of each voxel: `(x - mean) / sqrt(var + 1e-5) * gain`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to the same shape."""
        return F.layer_norm(x.movedim(1, -1), self.gain.shape, self.gain).movedim(-1, 1)


class LinearAttention(nn.Module):
    """x + attention within each slice, at a cost linear in its pixels.

    `out = (softmax over channels of q / sqrt(d)) (softmax over pixels of k)^T v`, head by head.
    Shen et al., arXiv 1812.01243.
    """

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Linear(channels, 3 * heads * head_channels, bias=False)
        self.out = nn.Linear(heads * head_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, D, H, W) to the same shape."""
        tokens = self.norm(x).permute(0, 2, 3, 4, 1)  # (B, D, H, W, C)
        shape = tokens.shape[:-1]
        tokens = tokens.reshape(shape[0] * shape[1], -1, tokens.shape[-1])  # (B D, H W, C)
        q, k, v = _heads(self.qkv(tokens), self.heads)  # (B D, heads, H W, d)
        q = q.softmax(-1) / math.sqrt(q.shape[-1])
        context = k.softmax(-2).transpose(-1, -2) @ v  # (B D, heads, d, d)
        y = self.out((q @ context.to(q)).transpose(1, 2).flatten(2))  # (B D, H W, C)
        return x + y.reshape(*shape, -1).permute(0, 4, 1, 2, 3)


class Attention(nn.Module):
    """x + softmax attention along one part of the axes, the others being a batch.

    Args:
        along: "depth": between the voxels of a column along D, with rotary positions (Su et al.,
            arXiv 2104.09864) and a bias for each distance; "slice": between all pixels of a slice,
            with neither.
    """

    def __init__(
        self, channels: int, heads: int, head_channels: int, along: Literal["depth", "slice"]
    ) -> None:
        super().__init__()
        self.heads, self.along = heads, along
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Linear(channels, 3 * heads * head_channels, bias=False)
        self.out = nn.Linear(heads * head_channels, channels, bias=False)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Map (B, C, D, H, W) to the same shape.

        Args:
            x: features.
            bias: (heads, D, D), added to the scores of queries (rows) and keys (columns).
        """
        # (B, H, W, D, C) or (B, D, H, W, C)
        tokens = self.norm(x).permute((0, 3, 4, 2, 1) if self.along == "depth" else (0, 2, 3, 4, 1))
        shape = tokens.shape
        length = shape[3] if self.along == "depth" else shape[2] * shape[3]
        q, k, v = _heads(self.qkv(tokens.reshape(-1, length, shape[-1])), self.heads)
        if self.along == "depth":
            q, k = rotate(q), rotate(k)
        bias = None if bias is None else bias.to(q)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (batch, heads, length, d)
        y = self.out(y.transpose(1, 2).flatten(2)).reshape(shape)
        return x + y.permute((0, 4, 3, 1, 2) if self.along == "depth" else (0, 4, 1, 2, 3))


class DistanceBias(nn.Module):
    """A learnt number for each head and each bucket of distances along the depth.

    Half the buckets are for keys behind the query. Of each half, half are single distances, and
    half widen with the logarithm up to `FARTHEST`. Raffel et al., arXiv 1910.10683, section 2.1.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS, heads)

    def forward(self, depth: int) -> Tensor:
        """Return the bias (heads, D, D) of queries (rows) and keys (columns)."""
        place = torch.arange(depth, device=self.table.weight.device)
        return self.table(bucket(place[None, :] - place[:, None])).permute(2, 0, 1)


def bucket(offset: Tensor) -> Tensor:
    """Return the bucket of each offset, key's place minus query's.

    >>> bucket(torch.tensor([0, -1, -7, -8, -31, -99, 1, 7, 8, 99])).tolist()
    [0, 1, 7, 8, 15, 15, 17, 23, 24, 31]
    """
    half, single = BUCKETS // 2, BUCKETS // 4
    distance = offset.abs()
    far = (distance.clamp(min=1).float() / single).log() / math.log(FARTHEST / single)
    wide = (single + (far * (half - single)).long()).clamp(max=half - 1)
    return torch.where(distance < single, distance, wide) + half * (offset > 0)


def rotate(x: Tensor) -> Tensor:
    """Turn each pair of channels of (..., N, d) by its place times the pair's frequency.

    Pair i holds channels 2i and 2i + 1 and turns by `10000^(-2i / d)` a place.
    """
    length, width = x.shape[-2:]
    place = torch.arange(length, device=x.device, dtype=torch.float32)
    angle = place[:, None] * frequencies(width).to(x.device)  # (N, d/2)
    cos, sin = angle.cos().to(x), angle.sin().to(x)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
    return turned.flatten(-2)


def frequencies(width: int) -> Tensor:
    """Return the angle a place of each pair of `width` channels, in radians: (width / 2,)."""
    return BASE ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)


def _heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, length, 3 heads d) -> three of (batch, heads, length, d)."""
    batch, length, _ = qkv.shape
    q, k, v = qkv.reshape(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    return q, k, v
