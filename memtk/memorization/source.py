"""A set of rows that need not lie in memory."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

CHUNK = 2**22
"""Numbers that are read in float64 at a time (32 MiB)."""


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
