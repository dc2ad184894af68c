"""Minus the Euclidean distance."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from memtk_measures.sums import product_error, row_sum


class Euclidean:
    """Minus the Euclidean distance of two vectors, in (-inf, 0]; 0 = equal.

    `compare` takes `|q - r|^2 = |q|^2 + |r|^2 - 2 q . r` from one matrix product, after moving
    the origin to the middle of the references, so that a common offset cancels nothing. What the
    difference still loses between close vectors, `rounding` owns up to, and `pairs` does without.

    >>> measure = Euclidean()
    >>> measure.compare(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])).tolist()
    [[-5.0]]
    """

    space: Literal["embedding", "image"] = "embedding"

    def prepare(self, rows: Tensor) -> Tensor:
        """Return the rows (N, F) as they are."""
        return rows

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return minus the distances (Q, R)."""
        out = queries.new_empty((len(queries), len(references)))
        self.compare_into(queries, references, out)
        return out

    def compare_into(self, queries: Tensor, references: Tensor, out: Tensor) -> None:
        """Write minus the distances to `out` (Q, R)."""
        middle = references.mean(0)  # (F,)
        q, r = queries - middle, references - middle
        torch.mm(q, r.T, out=out).mul_(-2)
        out += q.square().sum(1)[:, None]
        out += r.square().sum(1)
        out.clamp_min_(0).sqrt_().neg_()

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return minus the distance (K,) of each query (K, F) to the reference in its row."""
        return -row_sum((queries - references).square()).sqrt()

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from minus the exact distance.

        An error e of the squared distance is at most sqrt(e) of the distance. The rows' own
        rounding to their dtype counts with the norms before the origin is moved.
        """
        middle = references.mean(0)
        reach = max(float((part - middle).norm(dim=1).max()) for part in (queries, references))
        size = max(float(part.norm(dim=1).max()) for part in (queries, references))
        error = product_error(queries.shape[1], queries.dtype)
        return 2 * reach * math.sqrt(error) + 2 * size * error
