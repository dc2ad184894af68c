"""One tile of a similarity matrix, reduced along both axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WIDTHS = (32, 64)
"""Values whose maximum is kept, along a column and along a row."""


class Lines:
    """The rows (axis 1) or the columns (axis 0) of a tile.

    The maximum is taken over short blocks first. Values are looked at one by one only in blocks
    whose maximum reaches what is asked for: a search for indices over the whole tile
    (`torch.max(dim)`) takes several times as long as the matrix product.

    Args:
        values: the tile, (Q', R').
        axis: which axis a line runs along.
    """

    def __init__(self, values: Tensor, axis: int) -> None:
        self._axis = axis
        length, width = values.shape[axis], WIDTHS[axis]
        whole = length // width * width
        self._blocks: list[tuple[int, Tensor, Tensor]] = []
        for start, stop, size in ((0, whole, width), (whole, length, length - whole)):
            if stop == start:
                continue
            part = values.narrow(axis, start, stop - start)
            blocks = part.unflatten(axis, (-1, size))  # (Q', n, size) or (n, size, R')
            maxima = blocks.amax(axis + 1)  # (Q', n) or (n, R')
            self._blocks.append((start, blocks, maxima if axis else maxima.T))
        self.peaks = torch.cat([maxima.amax(1, keepdim=True) for _, _, maxima in self._blocks], 1)
        self.peaks = self.peaks.amax(1)  # (L,) the maximum of each line

    def reaching(self, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values >= `cut` (L,) of their line: lines, positions, values, each (K,)."""
        limit = torch.from_numpy(cut).to(self.peaks.dtype).to(self.peaks.device)
        # rounding to the tile's dtype must not lose a candidate
        limit = torch.nextafter(limit, torch.full_like(limit, -torch.inf))
        lines, positions, values = [], [], []
        for start, blocks, maxima in self._blocks:
            line, block = (maxima >= limit[:, None]).nonzero(as_tuple=True)  # (H,), (H,)
            near = blocks[line, block] if self._axis else blocks[block, :, line]  # (H, size)
            row, within = (near >= limit[line][:, None]).nonzero(as_tuple=True)  # (K,), (K,)
            lines.append(line[row])
            positions.append(start + block[row] * near.shape[1] + within)
            values.append(near[row, within])
        return _numpy(lines), _numpy(positions), _numpy(values)


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


def above(values: Tensor, peaks: Tensor, threshold: float, bound: float) -> Above:
    """Count the values of a tile (Q', R') above `threshold`, by rows with such a value.

    Args:
        peaks: the maximum of each row, (Q',).
        bound: how far a value may be off.
    """
    hot = (peaks > threshold - bound).nonzero()[:, 0]  # (H,)
    part = values if len(hot) == len(values) else values[hot]  # (H, R')
    certain = part > threshold + bound
    # an int32 sum is ten times as fast as the int64 one that torch takes by itself
    rows = np.zeros(len(values), dtype=np.int64)
    rows[_numpy([hot])] = _numpy([certain.sum(1, dtype=torch.int32)])
    columns = _numpy([certain.sum(0, dtype=torch.int32)]).astype(np.int64)
    row, column = (part > threshold - bound).logical_xor_(certain).nonzero(as_tuple=True)
    return Above(rows, columns, (_numpy([hot[row]]), _numpy([column])))


def _numpy(parts: list[Tensor]) -> np.ndarray:
    return torch.cat(parts).cpu().numpy()
