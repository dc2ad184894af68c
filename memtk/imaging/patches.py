"""Blocks of voxels to channels and back, so that a network need not work at full resolution."""

from __future__ import annotations

import itertools

from torch import Tensor


def fold(x: Tensor, patch: int) -> Tensor:
    """Turn blocks of `patch` voxels a side into channels.

    (B, C, *S) -> (B, C * patch^dims, *S / patch).

    >>> import torch
    >>> fold(torch.zeros(1, 1, 4, 6), 2).shape
    torch.Size([1, 4, 2, 3])
    """
    if patch == 1:
        return x
    batch, channels, *shape = x.shape
    dims = len(shape)
    split = itertools.chain.from_iterable((n // patch, patch) for n in shape)
    x = x.reshape(batch, channels, *split)  # (B, C, S1/p, p, S2/p, p, ...)
    x = x.permute(0, 1, *range(3, 3 + 2 * dims, 2), *range(2, 2 + 2 * dims, 2))
    return x.reshape(batch, channels * patch**dims, *[n // patch for n in shape])


def unfold(x: Tensor, patch: int) -> Tensor:
    """Undo `fold`: (B, C*patch^dims, *s) -> (B, C, *s*patch).

    >>> import torch
    >>> x = torch.rand(2, 3, 4, 6)
    >>> torch.equal(unfold(fold(x, 2), 2), x)
    True
    """
    if patch == 1:
        return x
    batch, channels, *shape = x.shape
    dims = len(shape)
    x = x.reshape(batch, channels // patch**dims, *[patch] * dims, *shape)
    pairs = itertools.chain.from_iterable((2 + dims + i, 2 + i) for i in range(dims))
    return x.permute(0, 1, *pairs).reshape(batch, -1, *[n * patch for n in shape])
