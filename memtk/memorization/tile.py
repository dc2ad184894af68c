"""One tile of a similarity matrix, reduced along both axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FANS = ((8, 16), (128,))
"""Values, and then maxima, whose maximum is kept, down a column and along a row.

Along a row torch is only fast at it if they fill whole vector registers; down a column each value
that is looked at is a cache line.
"""

EDGES = (math.prod(FANS[0]), math.prod(FANS[1]))
"""A tile's sides are multiples of these."""


class Lines:
    """The rows (axis 1) or the columns (axis 0) of a tile.

    The maximum is taken over short blocks first. Values are looked at one by one only in blocks
    whose maximum reaches what is asked for: a search for indices over the whole tile
    (`torch.max(dim)`) takes several times as long as the matrix product.

    Args:
        values: the tile, padded with -inf to multiples of `EDGES`.
        axis: which axis a line runs along.
        count: how many lines are not padding.
    """

    def __init__(self, values: Tensor, axis: int, count: int) -> None:
        self._axis = axis
        self._maxima = [values]  # and those of its blocks, from fine to coarse
        self._fans = list(FANS[axis])
        for fan in self._fans:
            blocks = self._maxima[-1].unflatten(axis, (-1, fan))  # (Q', n, fan) or (n, fan, R')
            self._maxima.append(blocks.amax(axis + 1))  # (Q', n) or (n, R')
        self._fans.append(self._maxima[-1].shape[axis])
        peaks = self._maxima[-1].amax(axis)[:count]
        self.peaks: np.ndarray = peaks.cpu().numpy()  # (L,) the maximum of each line

    def best(self, lines: np.ndarray, top: int) -> np.ndarray:
        """Return values that the `top` largest of each of `lines` (H,) reach, descending.

        They are the largest of different places: (H, top), or fewer if the tile is smaller.
        """
        # maxima of blocks stand for the values where there are plenty of them
        plenty = 4 * top <= self._maxima[1].shape[self._axis]
        part = self._maxima[1 if plenty else 0]
        where = torch.from_numpy(lines).to(part.device)
        part = part.index_select(1 - self._axis, where)
        part = part if self._axis else part.T  # (H, n)
        found: np.ndarray = part.topk(min(top, part.shape[1])).values.cpu().numpy()
        return found

    def reaching(self, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values >= `cut` (L,) of their line: lines, positions, values, each (K,).

        -inf is nobody's value: padding, and pairs that are left out.
        """
        limit = cut.astype(self.peaks.dtype)
        # rounding to the tile's dtype must not lose a candidate; and -inf becomes finite
        limit = np.nextafter(limit, np.finfo(limit.dtype).min)
        line = np.flatnonzero(self.peaks >= limit)  # (H,)
        position = np.zeros_like(line)
        value = self.peaks[:0]
        for maxima, fan in zip(self._maxima[::-1], self._fans[::-1], strict=True):
            near = self._block(maxima, line, position, fan)  # (H, fan)
            hit = np.flatnonzero(near >= limit[line, None])  # (K,)
            row = hit // fan
            line, position = line[row], position[row] * fan + hit % fan
            value = near.ravel()[hit]
        return line, position, value

    def _block(
        self, maxima: Tensor, line: np.ndarray, position: np.ndarray, fan: int
    ) -> np.ndarray:
        """Return the `fan` values at each `position` (H,), in blocks, of its line: (H, fan)."""
        length, lines = maxima.shape[self._axis], maxima.shape[1 - self._axis]
        if self._axis:
            blocks = maxima.view(-1, fan)
            where = torch.from_numpy(line * (length // fan) + position)
            found = blocks.index_select(0, where.to(maxima.device))
        else:
            start = position * (fan * lines) + line
            where = torch.from_numpy(start[:, None] + lines * np.arange(fan))
            found = maxima.take(where.to(maxima.device))
        near: np.ndarray = found.cpu().numpy()
        return near


@dataclass(frozen=True)
class Above:
    """Pairs of a tile above a threshold.

    Args:
        rows: how many in each row are so for certain, (Q',).
        columns: the same of each column, (R',).
        undecided: indices (K,), (K,) of pairs that rounding may put on either side.
    """

    rows: np.ndarray
    columns: np.ndarray
    undecided: tuple[np.ndarray, np.ndarray]


def above(values: Tensor, peaks: np.ndarray, threshold: float, bound: float) -> Above:
    """Count the values of a tile (Q', R') above `threshold`, by rows with such a value.

    Args:
        peaks: the maximum of each row, (Q',).
        bound: how far a value may be off.
    """
    hot = np.flatnonzero(peaks > threshold - bound)  # (H,)
    where = torch.from_numpy(hot).to(values.device)
    part = values if len(hot) == len(values) else values[where]  # (H, R')
    certain = part > threshold + bound
    # an int32 sum is ten times as fast as the int64 one that torch takes by itself
    rows = np.zeros(len(values), dtype=np.int64)
    rows[hot] = certain.sum(1, dtype=torch.int32).cpu().numpy()
    columns = certain.sum(0, dtype=torch.int32).cpu().numpy().astype(np.int64)
    row, column = (part > threshold - bound).logical_xor_(certain).nonzero(as_tuple=True)
    return Above(rows, columns, (hot[row.cpu().numpy()], column.cpu().numpy()))
