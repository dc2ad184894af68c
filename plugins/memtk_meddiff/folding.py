"""Blocks of voxels to channels and back, so that a network need not work at full resolution."""

from __future__ import annotations

from torch import Tensor


def fold(x: Tensor, patch: int) -> Tensor:
    """Turn blocks of `patch` voxels a side into channels: (B, C, *S) -> (B, C patch^3, *S/patch).

    >>> import torch
    >>> fold(torch.zeros(1, 1, 4, 6, 8), 2).shape
    torch.Size([1, 8, 2, 3, 4])
    """
    if patch == 1:
        return x
    batch, channels, d, h, w = x.shape
    p = patch
    x = x.reshape(batch, channels, d // p, p, h // p, p, w // p, p)
    x = x.permute(0, 1, 3, 5, 7, 2, 4, 6)  # (B, C, p, p, p, D/p, H/p, W/p)
    return x.reshape(batch, channels * p**3, d // p, h // p, w // p)


def unfold(x: Tensor, patch: int) -> Tensor:
    """Undo `fold`: (B, C patch^3, *s) -> (B, C, *s patch).

    >>> import torch
    >>> x = torch.rand(2, 3, 4, 6, 8)
    >>> torch.equal(unfold(fold(x, 2), 2), x)
    True
    """
    if patch == 1:
        return x
    batch, channels, d, h, w = x.shape
    p = patch
    x = x.reshape(batch, channels // p**3, p, p, p, d, h, w)
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)  # (B, C, D, p, H, p, W, p)
    return x.reshape(batch, channels // p**3, d * p, h * p, w * p)
