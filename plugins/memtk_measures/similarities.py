"""Similarities of embeddings and of images, and how far a matrix product may be off."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from memtk import UserError


def row_sum(x: Tensor) -> Tensor:
    """Sum each row of (N, F), F >= 1, by halving it: (N,).

    Element-wise additions in a fixed order: a row has the same sum, to the last bit, whatever
    the other rows, the device and the number of threads. Equal images therefore tie exactly.

    >>> row_sum(torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]])).tolist()
    [6.0, 1.5]
    """
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        folded = x[:, :half] + x[:, half : 2 * half]  # (N, F // 2)
        if x.shape[1] % 2:
            folded[:, 0] += x[:, -1]
        x = folded
    return x[:, 0]


def product_error(width: int, dtype: torch.dtype) -> float:
    """Return how far the computed product of two unit vectors (F,) may be from the exact one.

    8 sqrt(F) u with u half the spacing of floats at 1: roundings of F terms add up like a random
    walk (Higham and Mary, SIAM J. Sci. Comput. 2019; at factor 8 the chance of exceeding it is
    below 1e-13), and 4 u for the rounding of the vectors themselves.
    """
    return (8 * math.sqrt(width) + 4) * torch.finfo(dtype).eps / 2


FLAT = 4 * torch.finfo(torch.float32).eps
"""A row that varies less than this, relative to its size, is constant: float32 cannot tell."""

SAFE = (1e-15, 1e15)
"""Norms between which no square overflows, or vanishes beside the others, in float32."""


class _Product:
    """Of rows that `prepare` brought to length 1 the similarity is their product, in [-1, 1]."""

    space: Literal["embedding", "image"] = "embedding"

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (Q, R) of prepared rows."""
        return queries @ references.T  # (Q, R)

    def compare_into(self, queries: Tensor, references: Tensor, out: Tensor) -> None:
        """Write the similarities of prepared rows to `out` (Q, R)."""
        torch.mm(queries, references.T, out=out)

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarity (K,) of each query (K, F) and the reference in its row."""
        return row_sum(queries * references)

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from the exact similarity."""
        return product_error(queries.shape[1], queries.dtype)


class Pearson(_Product):
    """Pearson correlation of two vectors, in [-1, 1].

    `r(q, r) = sum (q - mean q) (r - mean r) / (|q - mean q| |r - mean r|)`; Dar et al.
    (arXiv 2402.01054) use it on embeddings. It does not change with the scale or the offset of
    a vector.

    >>> measure = Pearson()
    >>> rows = measure.prepare(torch.tensor([[0.0, 1.0, 2.0], [5.0, 7.0, 9.0], [2.0, 1.0, 0.0]]))
    >>> measure.compare(rows[:1], rows[1:]).round(decimals=4)
    tensor([[ 1., -1.]])
    """

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
                f"row {row} is constant (each of its values, {rows.shape[1]} in all, is about "
                f"{float(rows[row, 0]):.4g}): its correlation is undefined."
            )
        return centred.div_(spread[:, None])  # (N, F)


def _centred(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows (N, F) less their mean, and the norms after and before: (N,), (N,)."""
    width = rows.shape[1]
    mean = row_sum(rows) / width  # (N,)
    centred = rows - mean[:, None]
    centred -= (row_sum(centred) / width)[:, None]  # what rounding left
    squared = row_sum(centred.square())  # (N,)
    return centred, squared.sqrt(), (squared + width * mean.square()).sqrt()


class Cosine(_Product):
    """Cosine of the angle between two vectors, in [-1, 1]: `q . r / (|q| |r|)`.

    >>> measure = Cosine()
    >>> rows = measure.prepare(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    >>> measure.compare(rows[:1], rows[1:])
    tensor([[0.8000]])
    """

    def prepare(self, rows: Tensor) -> Tensor:
        """Divide each row of (N, F) by its norm: (N, F).

        Raises:
            UserError: if a row is zero, naming its index.
        """
        peak = rows.abs().amax(1, keepdim=True)  # (N, 1); scaling by it keeps squares finite
        zero = (peak[:, 0] == 0).nonzero()
        if len(zero):
            raise UserError(
                f"row {int(zero[0, 0])} is zero throughout, and has no "
                "direction, so its cosine is undefined."
            )
        scaled = rows / peak
        return scaled / row_sum(scaled.square()).sqrt()[:, None]  # (N, F)


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


class Ncc(Pearson):
    """Normalised cross-correlation of two images: Pearson's correlation over all voxels.

    In [-1, 1]; does not change with brightness and contrast. It sees copies in place, not those
    that were flipped, turned or shifted: an embedder is trained to see these.
    """

    space: Literal["embedding", "image"] = "image"
