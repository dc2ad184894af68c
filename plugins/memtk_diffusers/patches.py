"""Space to channels and back, so that no network need work at full resolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def fold(x: Tensor, patch: int) -> Tensor:
    """Turn blocks of `patch` by `patch` pixels into channels.

    (B, C, H, W) -> (B, C * patch^2, H / patch, W / patch).

    >>> import torch
    >>> fold(torch.zeros(1, 1, 4, 6), 2).shape
    torch.Size([1, 4, 2, 3])
    """
    return x if patch == 1 else F.pixel_unshuffle(x, patch)


def unfold(x: Tensor, patch: int) -> Tensor:
    """Undo `fold`: (B, C * patch^2, h, w) -> (B, C, h * patch, w * patch).

    >>> import torch
    >>> x = torch.rand(2, 3, 4, 6)
    >>> torch.equal(unfold(fold(x, 2), 2), x)
    True
    """
    return x if patch == 1 else F.pixel_shuffle(x, patch)
