"""Pearson correlation: the measure of the reference method."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from memtk import UserError
from memtk_measures.sums import product_error, row_sum

FLAT = 4 * torch.finfo(torch.float32).eps
"""A row that varies less than this, relative to its size, is constant: float32 cannot tell."""


class Pearson:
    """Pearson correlation of two vectors, in [-1, 1].

    `r(q, r) = sum (q - mean q) (r - mean r) / (|q - mean q| |r - mean r|)`; Dar et al.
    (arXiv 2402.01054) use it on embeddings. It does not change with the scale or the offset of
    a vector.

    >>> measure = Pearson()
    >>> rows = measure.prepare(torch.tensor([[0.0, 1.0, 2.0], [5.0, 7.0, 9.0], [2.0, 1.0, 0.0]]))
    >>> measure.compare(rows[:1], rows[1:]).round(decimals=4)
    tensor([[ 1., -1.]])
    """

    space: Literal["embedding", "image"] = "embedding"

    def prepare(self, rows: Tensor) -> Tensor:
        """Centre each row of (N, F) and divide it by its norm: (N, F).

        Raises:
            UserError: if a row is constant, naming its index.
        """
        peak = rows.abs().amax(1, keepdim=True)  # (N, 1); scaling by it keeps squares finite
        scaled = rows / peak.clamp_min(torch.finfo(rows.dtype).tiny)
        size = row_sum(scaled.square()).sqrt()  # (N,)
        centred = scaled - (row_sum(scaled) / rows.shape[1])[:, None]
        centred = centred - (row_sum(centred) / rows.shape[1])[:, None]  # what rounding left
        spread = row_sum(centred.square()).sqrt()  # (N,)
        flat = (spread <= FLAT * size).nonzero()
        if len(flat):
            row = int(flat[0, 0])
            raise UserError(
                f"row {row} is constant (all of its {rows.shape[1]} values are about "
                f"{float(rows[row, 0]):.4g}): its correlation is undefined."
            )
        return centred / spread[:, None]  # (N, F)

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the correlations (Q, R) of prepared rows."""
        return queries @ references.T  # (Q, R)

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the correlation (K,) of each query (K, F) with the reference in its row."""
        return row_sum(queries * references)

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from the exact correlation."""
        return product_error(queries.shape[1], queries.dtype)
