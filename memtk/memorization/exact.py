"""Similarities of single pairs in float64."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from memtk.interfaces import Similarity
from memtk.memorization.prepared import PIECE, Prepared
from memtk.memorization.source import Source


def pairwise(
    queries: Source,
    references: Source,
    similarity: Similarity,
    *,
    chosen: np.ndarray,
    names: tuple[str, str] = ("queries", "references"),
) -> np.ndarray:
    """Return the similarity of each query with one reference, as `search` would find it.

    Args:
        queries: (Q, *F).
        references: (R, *F).
        chosen: the index of the reference for each query, (Q,).
        names: what the two sets are called in messages.

    Returns:
        float64 (Q,).

    Raises:
        UserError: if a row has no similarity.

    >>> class Dot:
    ...     space = "embedding"
    ...     def prepare(self, rows): return rows
    ...     def compare(self, queries, references): return queries @ references.T
    >>> pairwise([[1.0, 0.0], [0.0, 2.0]], [[3.0, 1.0], [1.0, 1.0]], Dot(), chosen=np.array([1, 0]))
    array([1., 2.])
    """
    rows, columns = (
        Prepared(source, similarity, device="cpu", name=name)
        for source, name in zip((queries, references), names, strict=True)
    )
    return Exact(rows, columns, similarity)(np.arange(len(rows)), chosen)


class Exact:
    """Computes the similarity of pairs in float64: what decides between close candidates.

    The value of a pair depends on its two rows alone, never on the tile, the process or the
    other pairs, if the similarity has `pairs` (see `memtk.interfaces.Similarity`).
    """

    def __init__(self, queries: Prepared, references: Prepared, similarity: Similarity) -> None:
        self._queries, self._references = queries, references
        self._pairs = getattr(similarity, "pairs", None) or _OneByOne(similarity)
        self._step = max(1, 2 * PIECE // max(queries.width, references.width))

    def __call__(self, queries: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Return the similarity of each query with its reference, indices (K,): float64 (K,)."""
        values = np.empty(len(queries))
        for start in range(0, len(queries), self._step):
            part = slice(start, start + self._step)
            left = self._queries.exact(queries[part])  # (K, F')
            right = self._references.exact(references[part])  # (K, F')
            values[part] = self._pairs(left, right).numpy()
        return values


class _OneByOne:
    """Stands in for `pairs` where a similarity has `compare` alone."""

    def __init__(self, similarity: Similarity) -> None:
        self._similarity = similarity

    def __call__(self, queries: Tensor, references: Tensor) -> Tensor:
        rows = zip(queries.split(1), references.split(1), strict=True)
        # a clone is aligned in memory like any other, and so is rounded like any other
        found = [self._similarity.compare(q.clone(), r.clone())[0, 0] for q, r in rows]
        return torch.stack(found)
