"""The rows of a set: read slice by slice, checked, and prepared for a similarity."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import cached_property
from hashlib import blake2b
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError, UserError
from memtk.interfaces import Similarity
from memtk.memorization.patients import SamePatient, numbered

CHUNK = 2**22
"""Numbers that are read in float64 at a time (32 MiB)."""

PIECE = 2**17
"""Numbers that are prepared in float64 at a time (1 MiB: steps of `prepare` stay in the cache)."""

READING = Lock()
"""One thread reads at a time: a file has one position."""

REPEATED = 8
"""Pairs for each row, from which on rows with the same bits are compared once."""


class Source(Protocol):
    """A set of rows (N, *F) that is read slice by slice: an array, a tensor, a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any) -> Any: ...


def float64(rows: Any) -> Tensor:
    """Return (N, *F) of any real dtype as float64 (N, F) on the CPU."""
    if isinstance(rows, Tensor):
        flat = rows.detach().to("cpu", torch.float64)
    else:
        flat = torch.from_numpy(np.array(rows, dtype=np.float64))
    return flat.reshape(len(flat), -1)  # (N, F)


def hashes(source: Source) -> list[bytes]:
    """Return a hash of 16 bytes of the bits of each row, as float64."""
    found: list[bytes] = []
    step = max(1, CHUNK // max(1, float64(source[:1]).numel()))
    for start in range(0, len(source), step):
        rows = float64(source[start : start + step]).numpy()
        found += [blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
    return found


class PreparedRows:
    """One side of a search, prepared whole if it lies in memory, block by block if it does not.

    Rows are prepared in float64 and then rounded, so that float32 loses nothing but the product.

    Args:
        source: (N, *F); an array in memory, a memory-mapped one, or anything that `len` and
            slices work on.
        similarity: what prepares them.
        device: where the float32 rows go.
        name: what they are, in the plural, for messages.

    Raises:
        UserError: if there are none, a value is not finite, or the similarity refuses a row.
    """

    def __init__(
        self, source: Source, similarity: Similarity, *, device: str | torch.device, name: str
    ) -> None:
        if isinstance(source, list | tuple):
            source = np.asarray(source)
        self._source, self._similarity, self._name = source, similarity, name
        self._device = torch.device(device)
        if not len(source):
            raise UserError(f"there are no {name}: a search needs at least one.")
        self._resident = isinstance(source, Tensor | np.ndarray)
        self.width = self._read(0, 1).shape[1]
        self._whole: dict[torch.dtype, Tensor] = {}
        if self._resident and not isinstance(source, np.memmap):
            if len(source) * self.width <= CHUNK:
                self._whole[torch.float64] = self.block(0, len(source), torch.float64)
                whole = self._whole[torch.float64].float().to(self._device)
            else:
                whole = self.block(0, len(source))
            self._whole[torch.float32] = whole

    def __len__(self) -> int:
        return len(self._source)

    def spans(self, numbers: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Cut start, ..., stop - 1 into the blocks that are prepared at a time.

        Args:
            numbers: the most numbers in a block that is read for itself.
        """
        step = max(1, stop - start if self._whole else numbers // self.width)
        return [(a, min(a + step, stop)) for a in range(start, stop, step)]

    def block(self, start: int, stop: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return prepared rows (stop - start, F'): float32 on the device, float64 on the CPU."""
        if dtype in self._whole:
            return self._whole[dtype][start:stop]
        found: Tensor | None = None
        at = start
        step = max(1, (PIECE if self._resident else CHUNK) // self.width)
        for a in range(start, stop, step):
            for rows in self._read(a, min(a + step, stop)).split(max(1, PIECE // self.width)):
                part = self._prepared(rows, at)
                if found is None:
                    found = part.new_empty((stop - start, part.shape[1]), dtype=dtype)  # (N, F')
                found[at - start : at - start + len(part)] = part
                at += len(part)
        assert found is not None
        return found.to(self._device) if dtype == torch.float32 else found

    def exact(self, rows: np.ndarray) -> Tensor:
        """Return the prepared rows at indices (K,), in any order: float64 (K, F') on the CPU."""
        if torch.float64 in self._whole:
            return self._whole[torch.float64].index_select(0, torch.from_numpy(rows))
        rows, inverse = np.unique(rows, return_inverse=True)
        if self._resident:
            read = float64(self._source[rows])
        else:
            runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
            read = torch.cat([self._read(int(run[0]), int(run[-1]) + 1) for run in runs])
        return self._similarity.prepare(read).index_select(0, torch.from_numpy(inverse))

    @cached_property
    def first(self) -> np.ndarray:
        """For each row the lowest index of a row with the same bits, int64 (N,)."""
        seen: dict[bytes, int] = {}
        return np.array([seen.setdefault(h, i) for i, h in enumerate(hashes(self._source))])

    def _prepared(self, rows: Tensor, start: int) -> Tensor:
        if not math.isfinite(rows.sum()):  # one pass; a sum that overflows is looked into
            wrong = (~torch.isfinite(rows)).any(1).nonzero()
            if len(wrong):
                raise UserError(
                    f"{self._name}: row {start + int(wrong[0, 0])} holds a value that is not "
                    "finite (NaN or infinity), so nothing can be compared with it."
                )
        try:
            found = self._similarity.prepare(rows)
        except UserError as error:
            place = f" (rows counted from {start})" if start else ""
            raise UserError(f"{self._name}: {error}{place}") from error
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(rows):
            given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise PluginError(
                f"similarity {type(self._similarity).__name__}: `prepare` gives {given}, expected "
                f"a tensor of {len(rows)} rows"
            )
        return found

    def _read(self, start: int, stop: int) -> Tensor:
        if self._resident:
            return float64(self._source[start:stop])
        with READING:
            return float64(self._source[start:stop])


class ExactPairs:
    """Computes the similarity of pairs in float64: what decides between close candidates.

    The value of a pair depends on its two rows alone, never on the tile, the process or the
    other pairs, if the similarity has `pairs` (see `memtk.interfaces.Similarity`). Where there are
    many, as among the equal samples of a generator that has collapsed, rows with the same bits are
    compared once.
    """

    def __init__(
        self, queries: PreparedRows, references: PreparedRows, similarity: Similarity
    ) -> None:
        self._queries, self._references, self._similarity = queries, references, similarity
        self._pairs = getattr(similarity, "pairs", self._one_by_one)
        self._step = max(1, 2 * PIECE // max(queries.width, references.width))

    def __call__(self, queries: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Return the similarity of each query with its reference, indices (K,): float64 (K,)."""
        if len(queries) > REPEATED * (len(self._queries) + len(self._references)):
            pairs = self._queries.first[queries] * len(self._references)
            pairs, inverse = np.unique(
                pairs + self._references.first[references], return_inverse=True
            )
            return self._values(*np.divmod(pairs, len(self._references)))[inverse]
        return self._values(queries, references)

    def _values(self, queries: np.ndarray, references: np.ndarray) -> np.ndarray:
        values = np.empty(len(queries))
        for start in range(0, len(queries), self._step):
            part = slice(start, start + self._step)
            left = self._queries.exact(queries[part])  # (K, F')
            right = self._references.exact(references[part])  # (K, F')
            values[part] = self._pairs(left, right).numpy()
        return values

    def _one_by_one(self, queries: Tensor, references: Tensor) -> Tensor:
        rows = zip(queries.split(1), references.split(1), strict=True)
        # a clone is aligned in memory like any other, and so is rounded like any other
        found = [self._similarity.compare(q.clone(), r.clone())[0, 0] for q, r in rows]
        return torch.stack(found)


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
        PreparedRows(source, similarity, device="cpu", name=name)
        for source, name in zip((queries, references), names, strict=True)
    )
    return ExactPairs(rows, columns, similarity)(np.arange(len(rows)), chosen)


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
