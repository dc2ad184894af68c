"""Whole images, read again from their files where only reduced ones were kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from memtk.data.config import DataConfig
from memtk.data.packed import PackedImage
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
        shape: (C, *S), that they had.
    """

    def __init__(self, path: Path, group: str, shape: Sequence[int]) -> None:
        self._path, self._shape = path, tuple(shape)
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

    def images(self, rows: Sequence[int]) -> Iterator[PackedImage]:
        """Yield the images at rows of the prepared file.

        Raises:
            OriginalsChanged: if the file of one is gone or has changed, naming it.
        """
        records = [self._records[row] for row in rows]
        same = are_unchanged([record.path for record in records], self._path.parent / CONTENTS)
        for record, unchanged in zip(records, same, strict=True):
            image = None
            if unchanged:
                image = self._transform(self._readers.read(record), record.path.name)
            if image is None or image.data.shape != self._shape:
                raise OriginalsChanged(
                    f"{record.path} is gone or has changed since its image was read, of which only "
                    "a reduced copy was kept: put it back, or run the audit anew with "
                    "--keep-prepared"
                )
            yield image


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
