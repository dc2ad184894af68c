"""Images made smaller before they are compared: what is copied shows at a low resolution too."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

SHORTEST = 8
"""Voxels below which no axis is reduced."""


def reduced_shape(shape: Sequence[int], longest: int | None) -> tuple[int, ...]:
    """Return the shape whose longest axis has `longest` voxels, in the proportions of `shape`.

    An axis keeps `SHORTEST` voxels, if it has them. `shape` itself where it is no longer, or where
    `longest` is None.

    >>> reduced_shape((256, 192), 64), reduced_shape((32, 256, 256), 48)
    ((64, 48), (8, 48, 48))
    >>> reduced_shape((32, 48, 32), 48)
    (32, 48, 32)
    """
    if longest is None or max(shape) <= longest:
        return tuple(shape)
    factor = longest / max(shape)
    return tuple(max(round(n * factor), min(n, SHORTEST)) for n in shape)


def reduce(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Reduce images (B, C, *S) to (B, C, *shape): each voxel is the mean of those it covers.

    The images themselves where they have that shape already.
    """
    return x if tuple(x.shape[2:]) == tuple(shape) else F.interpolate(x, list(shape), mode="area")
