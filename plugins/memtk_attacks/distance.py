"""Minus the distance of two images, for the search of nearest ones."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


class Distance:
    """Minus the Euclidean distance of two flattened images per root of their size, at most 0.

    That is the root of the mean squared difference of two voxels, in the unit of the images (whose
    range is 2).

    >>> distance = Distance()
    >>> zeros, ones = (distance.prepare(torch.full((1, 4), x)) for x in (0.0, 1.0))
    >>> distance.compare(zeros, ones).tolist()
    [[-1.0]]
    """

    space: Literal["embedding", "image"] = "image"

    def prepare(self, rows: Tensor) -> Tensor:
        """Return the rows (N, F) divided by sqrt(F)."""
        return rows / rows.shape[1] ** 0.5

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return minus the distances (Q, R), with the origin moved to the references' middle."""
        middle = references.mean(0)  # (F,)
        q, r = queries - middle, references - middle
        squared = q.square().sum(1)[:, None] + r.square().sum(1) - 2 * q @ r.T
        return -squared.clamp_min(0).sqrt()

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return minus the distance (K,) of each query (K, F) to the reference in its row."""
        return -(queries - references).square().sum(1).sqrt()

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from `pairs`: the root of what the squares lose."""
        middle = references.mean(0)
        reach = max(float((part - middle).norm(dim=1).max()) for part in (queries, references))
        lost = queries.shape[1] ** 0.5 * torch.finfo(queries.dtype).eps
        return 4 * max(reach, 1e-30) * lost**0.5
