"""A reader of plain portable grey maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from memtk import UserError
from memtk.interfaces import Record, Volume

HEAD = 64
"""Characters in which `P2 WIDTH HEIGHT MAXIMUM` stands."""


class PgmReader:
    """Reads `P2 WIDTH HEIGHT MAXIMUM` and then that many numbers, in text."""

    suffixes = (".pgm",)

    def records(self, path: Path) -> Sequence[Record]:
        """List the one image in a file; its voxels are not read.

        Raises:
            UserError: if it is no such file, naming it.
        """
        self._words(path, HEAD)
        return [Record(path)]

    def read(self, record: Record) -> Volume:
        """Read the voxels, (1, H, W).

        Raises:
            UserError: if the file is damaged, naming it.
        """
        words = self._words(record.path)
        try:
            width, height, _, *values = (int(word) for word in words[1:])
            voxels = np.array(values).reshape(1, height, width)
        except ValueError as error:
            raise UserError(f"cannot read {record.path}: {error}") from error
        return Volume(voxels, (1.0, 1.0))

    def _words(self, path: Path, size: int = -1) -> list[str]:
        try:
            with path.open(encoding="ascii") as file:
                words = file.read(size).split()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {error}") from error
        if words[:1] != ["P2"]:
            raise UserError(f"cannot read {path}: it does not begin with P2")
        return words
