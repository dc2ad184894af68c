"""Whole images, read again from their files where only reduced ones were kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from memtk.data.config import DataConfig
from memtk.data.readers import Readers
from memtk.data.sources import CONTENTS, Sample, Transform
from memtk.errors import UserError
from memtk.files import are_unchanged
from memtk.interfaces import Record
from memtk.registry import open_registry


class OriginalsChanged(UserError):
    """A file is gone or has changed, of whose image only a reduced copy was kept."""


class Originals:
    """Reads images of a prepared file again from where they came from, if those are the same yet.

    Args:
        path: the file of prepared images, beside which the hashes of their files are remembered.
        group: of the images in it.
    """

    def __init__(self, path: Path, group: str) -> None:
        self._path = path
        with h5py.File(path, "r", locking=False) as file:
            noted = json.loads(file[group]["originals"][:].tobytes())
        self._config = DataConfig(source=str(path), **noted["transform"])
        self._records = [Record(Path(name), item) for name, item in noted["files"]]

    @cached_property
    def _readers(self) -> Readers:
        return Readers(open_registry())

    @cached_property
    def _transform(self) -> Transform:
        return Transform(self._config)

    def read(self, rows: Sequence[int], shape: Sequence[int]) -> np.ndarray:
        """Return the images at rows of the prepared file, float32 (B, C, *S).

        Args:
            shape: (C, *S), that they had.

        Raises:
            OriginalsChanged: if the file of one is gone or has changed, naming it.
        """
        found = np.empty((len(rows), *shape), np.float32)
        records = [self._records[row] for row in rows]
        same = are_unchanged([record.path for record in records], self._path.parent / CONTENTS)
        for place, (record, unchanged) in enumerate(zip(records, same, strict=True)):
            image = None
            if unchanged:
                image = self._transform(self._readers.read(record), record.path.name).voxels()
            if image is None or image.shape != tuple(shape):
                raise OriginalsChanged(
                    f"{record.path} is gone or has changed since its image was read, of which only "
                    "a reduced copy was kept: put it back, or run the audit anew with "
                    "--keep-prepared"
                )
            found[place] = image
        return found


def note_originals(
    dataset: h5py.Dataset, shape: Sequence[int], samples: Sequence[Sample], config: DataConfig
) -> None:
    """Note beside reduced images how large they were, and in which files they lie.

    Args:
        shape: (*S).
        samples: of each row, all of them in files.
        config: says what is done to the voxels.
    """
    dataset.attrs["whole"] = list(shape)
    records = [sample.record for sample in samples if sample.record is not None]
    noted = {
        "transform": config.model_dump(mode="json", include=Transform.SETTINGS),
        "files": [(str(record.path.absolute()), record.item) for record in records],
    }
    text = np.frombuffer(json.dumps(noted).encode(), np.uint8)  # names need not be UTF-8
    dataset.parent.create_dataset("originals", data=text)
