"""Euclidean distances between sets of feature vectors, in tiles, and rows drawn from a set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from memtk.noise import derive

TILE = 1 << 22
"""Distances held at a time: 32 MB."""


def tiles(queries: np.ndarray, references: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of the distances (Q, R), a few queries at a time, in float64.

    Differences are taken before they are squared, so that equal vectors are at distance 0 exactly:
    whether an image is a copy depends on it.
    """
    step = max(1, TILE // max(1, len(references)))
    for start in range(0, len(queries), step):
        rows = slice(start, min(start + step, len(queries)))
        yield rows, cdist(queries[rows], references)  # (q, R)


def nearest(
    queries: np.ndarray, references: np.ndarray, k: int = 1, *, own: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances (Q, k), ascending, to the k nearest references, and their rows (Q, k).

    Args:
        queries: (Q, D).
        references: (R, D), R >= k, and R > k with `own`.
        own: the two sets are one, and no row is a neighbour of itself.

    >>> points = np.array([[0.0], [1.0], [3.0]])
    >>> nearest(points, points, own=True)[0].ravel().tolist()
    [1.0, 1.0, 2.0]
    """
    found = np.empty((len(queries), k))
    index = np.empty((len(queries), k), np.int64)
    for rows, distances in tiles(queries, references):
        if own:
            distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
        order = np.argpartition(distances, k - 1, axis=1)[:, :k]  # (q, k)
        near = np.take_along_axis(distances, order, 1)
        ascending = np.argsort(near, axis=1, kind="stable")
        found[rows] = np.take_along_axis(near, ascending, 1)
        index[rows] = np.take_along_axis(order, ascending, 1)
    return found, index


def some(rows: np.ndarray, count: int, name: str) -> np.ndarray:
    """Return `count` rows of (N, D) drawn at random, all where there are no more.

    Args:
        name: of what they are drawn for; the same rows at every call.

    >>> some(np.arange(6).reshape(3, 2), 5, "fid").shape
    (3, 2)
    """
    if len(rows) <= count:
        return rows
    rng = np.random.default_rng(derive(0, name, len(rows), count))
    return rows[np.sort(rng.choice(len(rows), count, replace=False))]
