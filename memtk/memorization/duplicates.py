"""Rows with the same bits, found by hashing: images that are in two sets, or twice in one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from memtk.memorization.patients import SamePatient, numbered
from memtk.memorization.rows import Source, hashes


def duplicates(
    queries: Source,
    references: Source | None = None,
    *,
    patients: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
) -> np.ndarray:
    """Find rows with the same bits (as float64) in two sets, or within one.

    Each row that has a duplicate is in one pair at least, with the lowest index that it can be
    paired with. So there are at most Q + R pairs, also where all rows are equal. Time and memory
    are O(Q + R); rows are read piece by piece.

    Args:
        queries: (Q, *F), see `search`.
        references: (R, *F); None: search among the queries, each but itself.
        patients: of the queries and of the references: pairs of one patient are left out. Within
            one set both are the same.

    Returns:
        Pairs (query, reference), int64 (K, 2), ascending; within one set the lower row first.

    >>> duplicates([[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [1.0, 2.0], [1.0, 2.0]]).tolist()
    [[0, 1], [0, 2]]
    >>> duplicates([[5.0], [7.0], [5.0], [5.0]]).tolist()
    [[0, 2], [0, 3]]
    >>> names = ["Ann", "Ann", "Bob"]
    >>> duplicates([[5.0], [5.0], [5.0]], patients=(names, names)).tolist()
    [[0, 2], [1, 2]]
    """
    alone = references is None
    hashed = hashes(_array(queries))
    rows, columns = numbered(hashed, hashed if references is None else hashes(_array(references)))
    if patients is not None:
        same = SamePatient(*patients, (len(rows), len(columns)), ("queries", "references"))
        row_patients, column_patients = same.queries, same.references
    elif alone:  # no row is paired with itself
        row_patients = column_patients = np.arange(len(rows))
    else:
        row_patients, column_patients = np.full(len(rows), -1), np.full(len(columns), -2)
    forth = _partner(rows, row_patients, columns, column_patients)  # (Q,)
    back = _partner(columns, column_patients, rows, row_patients)  # (R,)
    found = [np.stack([np.arange(len(forth)), forth], 1)[forth >= 0]]
    found.append(np.stack([back, np.arange(len(back))], 1)[back >= 0])
    pairs = np.concatenate(found)
    if alone:
        pairs.sort(1)
    return np.unique(pairs, axis=0)


def _array(source: Source) -> Source:
    return np.asarray(source) if isinstance(source, list | tuple) else source


def _partner(
    rows: np.ndarray, patients: np.ndarray, others: np.ndarray, other_patients: np.ndarray
) -> np.ndarray:
    """Return the lowest of `others` (R,) with the number of each of `rows` (Q,), else -1: (Q,).

    It is of another patient: either the first with that number, or the first after it whose
    patient is not that one's.
    """
    size = 1 + max(rows.max(initial=-1), others.max(initial=-1))
    first, second = (np.full(size, -1, dtype=np.int64) for _ in range(2))
    places = np.arange(len(others))
    _lowest(first, others, places)
    elsewhere = other_patients != other_patients[first[others]]
    _lowest(second, others[elsewhere], places[elsewhere])
    found = first[rows]  # (Q,)
    own = (found >= 0) & (other_patients[found] == patients)
    return np.where(own, second[rows], found)


def _lowest(into: np.ndarray, numbers: np.ndarray, places: np.ndarray) -> None:
    """Write the first of `places` (K,) of each of `numbers` (K,) to its entry of `into`."""
    into[numbers[::-1]] = places[::-1]  # of several assignments to one entry the last stays
