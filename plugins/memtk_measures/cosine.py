"""Cosine similarity."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from memtk import UserError
from memtk_measures.sums import product_error, row_sum


class Cosine:
    """Cosine of the angle between two vectors, in [-1, 1]: `q . r / (|q| |r|)`.

    >>> measure = Cosine()
    >>> rows = measure.prepare(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    >>> measure.compare(rows[:1], rows[1:])
    tensor([[0.8000]])
    """

    space: Literal["embedding", "image"] = "embedding"

    def prepare(self, rows: Tensor) -> Tensor:
        """Divide each row of (N, F) by its norm: (N, F).

        Raises:
            UserError: if a row is zero, naming its index.
        """
        peak = rows.abs().amax(1, keepdim=True)  # (N, 1); scaling by it keeps squares finite
        zero = (peak[:, 0] == 0).nonzero()
        if len(zero):
            raise UserError(
                f"row {int(zero[0, 0])} is zero in all of its {rows.shape[1]} values: it has no "
                "direction, so its cosine is undefined."
            )
        scaled = rows / peak
        return scaled / row_sum(scaled.square()).sqrt()[:, None]  # (N, F)

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the cosines (Q, R) of prepared rows."""
        return queries @ references.T  # (Q, R)

    def compare_into(self, queries: Tensor, references: Tensor, out: Tensor) -> None:
        """Write the cosines of prepared rows to `out` (Q, R)."""
        torch.mm(queries, references.T, out=out)

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the cosine (K,) of each query (K, F) with the reference in its row."""
        return row_sum(queries * references)

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from the exact cosine."""
        return product_error(queries.shape[1], queries.dtype)
