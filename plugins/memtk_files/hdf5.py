"""HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from memtk import UserError
from memtk.interfaces import Record, Volume
from memtk_files.reading import reading
from memtk_files.stacks import STACKS, problem_of, split_item, voxels_of


class Hdf5Reader:
    """Reads stacks of images: datasets `train`, `val`, `test` (or MedMNIST's names) or `images`.

    A dataset is (N, H, W), (N, H, W, 3), (N, D, H, W) or (N, C, D, H, W); row i is one image. Links
    and datasets that point into other files are refused. The spacing is 1.
    """

    suffixes = (".h5", ".hdf5")

    def __init__(self) -> None:
        self._file: h5py.File | None = None
        self._path: Path | None = None

    def records(self, path: Path) -> Sequence[Record]:
        """List the images of a file.

        Raises:
            UserError: if the file is damaged or has no such dataset.
        """
        records: list[Record] = []
        with reading(path, kind="HDF5 file"), h5py.File(path, "r", locking=False) as file:
            found = [name for name in STACKS if name in file.keys()]  # noqa: SIM118 (no link followed)
            for name in found:
                dataset = _dataset(file, name, path)
                problem = problem_of(dataset.shape, dataset.dtype)
                if problem:
                    raise UserError(f"cannot read {path}: {name} {problem}")
                records += [Record(path, f"{name}/{row}") for row in range(dataset.shape[0])]
            there = ", ".join(sorted(file.keys())) or "nothing"
        if not records:
            raise UserError(f"{path} has no images: expected {', '.join(STACKS)}; it has {there}")
        return records

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file is damaged.
        """
        with reading(record.path, record.item, kind="HDF5 file"):
            name, row = split_item(record.item)
            voxels = voxels_of(
                np.asarray(_dataset(self._open(record.path), name, record.path)[row])
            )
        return Volume(voxels, (1.0,) * (voxels.ndim - 1))

    def _open(self, path: Path) -> h5py.File:
        """Keep the last file open: its images are read one after the other."""
        if self._file is None or self._path != path:
            if self._file is not None:
                self._file.close()
            self._file, self._path = h5py.File(path, "r", locking=False), path
        return self._file


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset whose voxels lie in this very file."""
    link = file.get(name, getlink=True)
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"cannot read {path}: {name} is not a dataset of this file")
    if dataset.is_virtual or dataset.external:
        raise UserError(f"cannot read {path}: {name} takes its voxels from another file")
    return dataset
