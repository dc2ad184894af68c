"""Pearson correlation: the measure of the reference method."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from memtk import UserError
from memtk_measures.sums import product_error, row_sum

FLAT = 4 * torch.finfo(torch.float32).eps
"""A row that varies less than this, relative to its size, is constant: float32 cannot tell."""

SAFE = (1e-15, 1e15)
"""Norms between which no square overflows, or vanishes beside the others, in float32."""


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
        centred, spread, size = _centred(rows)
        if not bool(((spread > SAFE[0]) & (size < SAFE[1])).all()):  # squares may not be finite
            _, exponent = torch.frexp(rows.abs().amax(1, keepdim=True))  # (N, 1)
            # a power of two changes no digit: a row is prepared alike in any company
            centred, spread, size = _centred(torch.ldexp(rows, -exponent))
        flat = (spread <= FLAT * size).nonzero()
        if len(flat):
            row = int(flat[0, 0])
            raise UserError(
                f"row {row} is constant (all of its {rows.shape[1]} values are about "
                f"{float(rows[row, 0]):.4g}): its correlation is undefined."
            )
        return centred.div_(spread[:, None])  # (N, F)

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the correlations (Q, R) of prepared rows."""
        return queries @ references.T  # (Q, R)

    def compare_into(self, queries: Tensor, references: Tensor, out: Tensor) -> None:
        """Write the correlations of prepared rows to `out` (Q, R)."""
        torch.mm(queries, references.T, out=out)

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the correlation (K,) of each query (K, F) with the reference in its row."""
        return row_sum(queries * references)

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from the exact correlation."""
        return product_error(queries.shape[1], queries.dtype)


def _centred(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows (N, F) less their mean, and the norms after and before: (N,), (N,)."""
    width = rows.shape[1]
    mean = row_sum(rows) / width  # (N,)
    centred = rows - mean[:, None]
    centred -= (row_sum(centred) / width)[:, None]  # what rounding left
    squared = row_sum(centred.square())  # (N,)
    return centred, squared.sqrt(), (squared + width * mean.square()).sqrt()
