"""What a search finds, and how the parts of several processes become one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Neighbours:
    """What each row of one set found in the other.

    Args:
        similarity: to its nearest row, float64 (n,); -inf where there is none (with patients).
        index: of that row, int64 (n,); of equally near ones the lowest; -1 where there is none.
        above: rows with a similarity strictly above the threshold, int64 (n,); None without one.
        ties: rows that are exactly as near as the nearest, itself included, int64 (n,): 1 where
            there is one nearest row, 0 where there is none.
        top_similarity: to its k nearest rows, float64 (n, k), descending.
        top_index: of these rows, int64 (n, k), equally near ones by ascending index. Rows that
            found fewer than k are filled up with -inf and -1.
    """

    similarity: np.ndarray
    index: np.ndarray
    above: np.ndarray | None = None
    ties: np.ndarray = field(kw_only=True)
    top_similarity: np.ndarray = field(kw_only=True)
    top_index: np.ndarray = field(kw_only=True)


@dataclass(frozen=True)
class Search:
    """Nearest neighbours in both directions: of each query, and of each reference.

    Args:
        queries: what each query found among the references.
        references: what each reference found among the queries.
        duplicates: pairs (query, reference) of rows with the same bits, int64 (K, 2); see
            `memtk.memorization.duplicates`. None if they were not asked for.
    """

    queries: Neighbours
    references: Neighbours
    duplicates: np.ndarray | None = None


def neighbours(
    top_similarity: np.ndarray, top_index: np.ndarray, ties: np.ndarray, above: np.ndarray | None
) -> Neighbours:
    """Name the winners (n,) among the k nearest (n, k)."""
    return Neighbours(
        top_similarity[:, 0],
        top_index[:, 0],
        above,
        ties=ties,
        top_similarity=top_similarity,
        top_index=top_index,
    )


def merge(parts: list[Neighbours]) -> Neighbours:
    """Join what the processes found, each among other rows: the same as one process finds."""
    if len(parts) == 1:
        return parts[0]
    similarity = np.concatenate([part.top_similarity for part in parts], axis=1)  # (n, P k)
    index = np.concatenate([part.top_index for part in parts], axis=1)
    last = np.where(index < 0, np.iinfo(np.int64).max, index)
    order = np.lexsort((last, -similarity), axis=1)[:, : parts[0].top_index.shape[1]]  # (n, k)
    similarity = np.take_along_axis(similarity, order, axis=1)
    index = np.take_along_axis(index, order, axis=1)
    ties = np.zeros(len(index), dtype=np.int64)
    for part in parts:
        ties += np.where(part.similarity == similarity[:, 0], part.ties, 0)
    counts = [part.above for part in parts if part.above is not None]
    return neighbours(similarity, index, ties, np.sum(counts, axis=0) if counts else None)
