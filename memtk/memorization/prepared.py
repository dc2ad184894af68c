"""One side of a search: rows that are read, checked and prepared for a similarity."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import Similarity

CHUNK = 2**22
"""Numbers that are prepared in float64 at a time (32 MiB)."""


class Source(Protocol):
    """A set of rows (N, *F) that is read slice by slice: an array, a tensor, a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any) -> Any: ...


class Prepared:
    """Rows of one side, prepared whole if they lie in memory, tile by tile if they do not.

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
        self.width = self._read(0, 1).shape[1]
        self._whole: Tensor | None = None
        if isinstance(source, Tensor | np.ndarray) and not isinstance(source, np.memmap):
            self._whole = self._float32(0, len(source))

    def __len__(self) -> int:
        return len(self._source)

    def spans(self, rows: int, numbers: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Cut start, ..., stop - 1 into tiles of at most `rows`.

        Args:
            numbers: the most numbers in a tile that is read for itself.
        """
        if self._whole is None:
            rows = min(rows, max(1, numbers // self.width))
        return [(a, min(a + rows, stop)) for a in range(start, stop, rows)]

    def tile(self, start: int, stop: int) -> Tensor:
        """Return prepared rows: float32 (stop - start, F') on the device."""
        if self._whole is not None:
            return self._whole[start:stop]
        return self._float32(start, stop)

    def exact_tile(self, start: int, stop: int) -> Tensor:
        """Return prepared rows: float64 (stop - start, F') on the CPU."""
        return torch.cat([self._prepare(a, b) for a, b in self._chunks(start, stop)])

    def exact(self, rows: np.ndarray) -> Tensor:
        """Return the prepared rows at ascending indices (K,): float64 (K, F') on the CPU."""
        if isinstance(self._source, Tensor | np.ndarray):
            return self._similarity.prepare(_float64(self._source[rows]))
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        read = [self._read(int(run[0]), int(run[-1]) + 1) for run in runs]
        return self._similarity.prepare(torch.cat(read))

    @cached_property
    def first(self) -> np.ndarray:
        """For each row the lowest index of a row with the same bits, int64 (N,).

        Where thousands are equal, as in the samples of a generator that has collapsed, one of them
        is compared in float64 and not all.
        """
        seen: dict[bytes, int] = {}
        found = np.empty(len(self), dtype=np.int64)
        for a, b in self._chunks(0, len(self)):
            for i, row in enumerate(self._read(a, b).numpy(), start=a):
                found[i] = seen.setdefault(blake2b(row.tobytes(), digest_size=16).digest(), i)
        return found

    def _chunks(self, start: int, stop: int) -> list[tuple[int, int]]:
        step = max(1, CHUNK // self.width)
        return [(a, min(a + step, stop)) for a in range(start, stop, step)]

    def _float32(self, start: int, stop: int) -> Tensor:
        rows: Tensor | None = None
        for a, b in self._chunks(start, stop):
            part = self._prepare(a, b).float()
            if rows is None:
                rows = part.new_empty((stop - start, part.shape[1]))  # (N, F')
            rows[a - start : b - start] = part
        assert rows is not None
        return rows.to(self._device)

    def _prepare(self, start: int, stop: int) -> Tensor:
        rows = self._read(start, stop)
        wrong = (~torch.isfinite(rows)).any(1).nonzero()
        if len(wrong):
            raise UserError(
                f"{self._name}: row {start + int(wrong[0, 0])} holds a value that is not finite "
                "(NaN or infinity), so nothing can be compared with it."
            )
        try:
            return self._similarity.prepare(rows)
        except UserError as error:
            place = f" (rows counted from {start})" if start else ""
            raise UserError(f"{self._name}: {error}{place}") from error

    def _read(self, start: int, stop: int) -> Tensor:
        return _float64(self._source[start:stop])


def _float64(rows: Any) -> Tensor:
    """Return (N, *F) of any real dtype as float64 (N, F) on the CPU."""
    if isinstance(rows, Tensor):
        flat = rows.detach().to("cpu", torch.float64)
    else:
        flat = torch.from_numpy(np.array(rows, dtype=np.float64))
    return flat.reshape(len(flat), -1)  # (N, F)
