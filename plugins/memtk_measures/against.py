"""Which real images the synthetic ones are compared with, and distances between their features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.spatial.distance import cdist

from memtk.errors import many
from memtk.interfaces import ComponentConfig, Features
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


class AgainstConfig(ComponentConfig):
    """The choice of the reference set."""

    against: Literal["validation", "training"] = Field(
        "validation",
        description="real images that the synthetic ones are compared with; against the training "
        "images a generator that copies them scores best",
    )


def pair(
    features: Features, against: Literal["validation", "training"], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference images and those that stand in for the synthetic ones in its line.

    Against validation images the training images stand in, and the other way round; as many as
    there are synthetic images where there are enough, since these measures change with the size of
    the sets.

    Args:
        name: of the measure, for the draw.
    """
    sets = (features.validation, features.training)
    reference, others = sets if against == "validation" else sets[::-1]
    return reference, some(others, len(features.synthetic), name)


def keyed(name: str, against: str) -> str:
    """Return the name of a measure that says if it is against the training images.

    >>> keyed("fid", "validation"), keyed("fid", "training"), keyed("recall", "training")
    ('fid', 'training', 'recall.training')
    """
    if against == "validation":
        return name
    return "training" if name in {"fid", "kid"} else f"{name}.training"


def sizes(features: Features, stand_in: np.ndarray) -> str:
    """Return a word on a line that rests on another number of images; empty if it does not."""
    if len(stand_in) == len(features.synthetic):
        return ""
    return (
        f"The line is of {many(len(stand_in), 'real image')} in place of "
        f"{len(features.synthetic)}: sets of other sizes score differently."
    )
