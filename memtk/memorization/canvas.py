"""Where a tile of a similarity matrix is computed, again and again in the same memory."""

from __future__ import annotations

import torch
from torch import Tensor

from memtk.errors import PluginError
from memtk.interfaces import Similarity
from memtk.memorization.tile import EDGES


class Canvas:
    """Computes tiles into one buffer, padded with -inf to whole blocks of `Lines`.

    A fresh tile of 16 MiB costs as much in page faults as the matrix product that fills it (32
    wide rows). A similarity with `compare_into` writes into the buffer; that of any other is
    copied.
    """

    def __init__(self, similarity: Similarity) -> None:
        self._similarity = similarity
        self._into = getattr(similarity, "compare_into", None)
        self._buffer: Tensor | None = None

    def __call__(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities of (Q', F') and (R', F'), padded: valid until the next call.

        Raises:
            PluginError: if the similarity returns another shape than (Q', R').
        """
        shape = len(queries), len(references)
        rows, columns = (-(-n // edge) * edge for n, edge in zip(shape, EDGES, strict=True))
        padded = self._memory(queries, rows * columns).view(rows, columns)
        values = padded[: shape[0], : shape[1]]
        if self._into is not None:
            self._into(queries, references, values)
        else:
            found = self._similarity.compare(queries, references)
            if found.shape != shape:
                raise PluginError(
                    f"similarity {type(self._similarity).__name__}: `compare` gives the shape "
                    f"{tuple(found.shape)} for {shape[0]} queries and {shape[1]} references."
                )
            values.copy_(found)
        padded[shape[0] :] = -torch.inf
        padded[: shape[0], shape[1] :] = -torch.inf
        return padded

    def _memory(self, like: Tensor, size: int) -> Tensor:
        old = self._buffer
        if old is None or len(old) < size or (old.dtype, old.device) != (like.dtype, like.device):
            self._buffer = old = like.new_empty(size)
        return old[:size]
