"""One side of a search: rows that are read, checked and prepared for a similarity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import Similarity
from memtk.memorization.source import CHUNK, Source, float64, hashes

PIECE = 2**17
"""Numbers that are prepared in float64 at a time (1 MiB: steps of `prepare` stay in the cache)."""

READING = Lock()
"""One thread reads at a time: a file has one position."""


class Prepared:
    """Rows of one side, prepared whole if they lie in memory, block by block if they do not.

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
        self.source, self._similarity, self._name = source, similarity, name
        self._device = torch.device(device)
        if not len(source):
            raise UserError(f"there are no {name}: a search needs at least one.")
        self._resident = isinstance(source, Tensor | np.ndarray)
        self.width = self._read(0, 1).shape[1]
        self._whole: Tensor | None = None
        self._kept: Tensor | None = None
        if self._resident and not isinstance(source, np.memmap):
            if len(source) * self.width <= CHUNK:
                self._kept = self.exact_tile(0, len(source))
                self._whole = self._kept.float().to(self._device)
            else:
                self._whole = self._filled(0, len(source), torch.float32).to(self._device)

    def __len__(self) -> int:
        return len(self.source)

    def spans(self, numbers: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Cut start, ..., stop - 1 into blocks that are prepared at a time.

        Args:
            numbers: the most numbers in a block that is read for itself.
        """
        if self._whole is not None:
            return [(start, stop)] if stop > start else []
        rows = max(1, numbers // self.width)
        return [(a, min(a + rows, stop)) for a in range(start, stop, rows)]

    def block(self, start: int, stop: int) -> Tensor:
        """Return prepared rows: float32 (stop - start, F') on the device."""
        if self._whole is not None:
            return self._whole[start:stop]
        return self._filled(start, stop, torch.float32).to(self._device)

    def exact_tile(self, start: int, stop: int) -> Tensor:
        """Return prepared rows: float64 (stop - start, F') on the CPU."""
        if self._kept is not None:
            return self._kept[start:stop]
        return self._filled(start, stop, torch.float64)

    def exact(self, rows: np.ndarray) -> Tensor:
        """Return the prepared rows at indices (K,), in any order: float64 (K, F') on the CPU."""
        if self._kept is not None:
            return self._kept.index_select(0, torch.from_numpy(rows))
        rows, inverse = np.unique(rows, return_inverse=True)
        if self._resident:
            read = float64(self.source[rows])
        else:
            runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
            read = torch.cat([self._read(int(run[0]), int(run[-1]) + 1) for run in runs])
        return self._similarity.prepare(read).index_select(0, torch.from_numpy(inverse))

    @cached_property
    def first(self) -> np.ndarray:
        """For each row the lowest index of a row with the same bits, int64 (N,).

        Where thousands are equal, as in the samples of a generator that has collapsed, one of them
        is compared in float64 and not all.
        """
        seen: dict[bytes, int] = {}
        return np.array([seen.setdefault(h, i) for i, h in enumerate(hashes(self.source))])

    def _chunks(self, start: int, stop: int) -> list[tuple[int, int]]:
        step = max(1, (PIECE if self._resident else CHUNK) // self.width)
        return [(a, min(a + step, stop)) for a in range(start, stop, step)]

    def _filled(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        found: Tensor | None = None
        at = 0
        for part in self._parts(start, stop):
            if found is None:
                found = part.new_empty((stop - start, part.shape[1]), dtype=dtype)  # (N, F')
            found[at : at + len(part)] = part
            at += len(part)
        assert found is not None
        return found

    def _parts(self, start: int, stop: int) -> Iterator[Tensor]:
        """Yield prepared rows, a piece at a time."""
        for a, b in self._chunks(start, stop):
            for part in self._read(a, b).split(max(1, PIECE // self.width)):
                yield self._prepare(part, a)
                a += len(part)

    def _prepare(self, rows: Tensor, start: int) -> Tensor:
        if not math.isfinite(rows.sum()):  # one pass; a sum that overflows is looked into
            wrong = (~torch.isfinite(rows)).any(1).nonzero()
            if len(wrong):
                raise UserError(
                    f"{self._name}: row {start + int(wrong[0, 0])} holds a value that is not "
                    "finite (NaN or infinity), so nothing can be compared with it."
                )
        try:
            return self._similarity.prepare(rows)
        except UserError as error:
            place = f" (rows counted from {start})" if start else ""
            raise UserError(f"{self._name}: {error}{place}") from error

    def _read(self, start: int, stop: int) -> Tensor:
        if self._resident:
            return float64(self.source[start:stop])
        with READING:
            return float64(self.source[start:stop])
