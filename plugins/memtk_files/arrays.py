"""NumPy and HDF5 files: arrays that hold one image, or many images, one a row."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from memtk import UserError
from memtk.interfaces import Record, Volume
from memtk_files.reading import reading

STACKS = ("train_images", "val_images", "test_images", "train", "val", "test", "images")
"""Names of arrays that hold one image a row."""


class NumpyReader:
    """Reads `.npy` and `.npz`. Pickled objects are refused: loading them runs code.

    A `.npy` holds one image: (H, W), (H, W, 3), (D, H, W) or (C, D, H, W) with C up to 4. A `.npz`
    with an array called `train_images`, `val_images`, `test_images` (MedMNIST), `train`, `val`,
    `test` or `images` holds one image a row of those, and its other arrays (labels) are left
    alone; one without such an array holds one image an array. Rows are taken out of the
    compressed file one by one, so the file is never whole in memory. The spacing is 1.
    """

    suffixes = (".npy", ".npz")

    def __init__(self) -> None:
        self._member: _Member | None = None

    def records(self, path: Path) -> Sequence[Record]:
        """List the images of a file.

        Raises:
            UserError: if the file is damaged or holds no images.
        """
        if path.name.lower().endswith(".npy"):
            return [Record(path)]
        records: list[Record] = []
        with reading(path, kind="NumPy file"), zipfile.ZipFile(path) as file:
            names = [n.removesuffix(".npy") for n in file.namelist() if n.endswith(".npy")]
            stacks = [name for name in STACKS if name in names]
            for name in stacks:
                member = _open(path, name)
                member.stream.close()
                problem = problem_of(member.shape, member.dtype)
                if problem:
                    raise UserError(f"cannot read {path}: {name} {problem}")
                records += [Record(path, f"{name}/{row}") for row in range(member.shape[0])]
        if not stacks:
            records = [Record(path, name) for name in names]
        if not records:
            raise UserError(f"{path} holds no images")
        return records

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file is damaged, or the array is no image.
        """
        path, item = record.path, record.item
        with reading(path, item, kind="NumPy file"):
            if not item:
                array = _load(path)
            elif "/" in item:
                array = self._row(path, *split_item(item))
            else:
                array = _load(path, item)
            problem = problem_of((1, *np.shape(array)), np.asarray(array).dtype)
            if problem:
                raise UserError(
                    f"cannot read {path}{f' ({item})' if item else ''}: an array of "
                    f"{np.asarray(array).dtype} and shape {np.shape(array)} is no image; expected "
                    "(H, W), (H, W, 3), (D, H, W) or (C, D, H, W)"
                )
        voxels = voxels_of(np.asarray(array))
        return Volume(voxels, (1.0,) * (voxels.ndim - 1))

    def _row(self, path: Path, name: str, row: int) -> np.ndarray:
        member = self._member
        if member is None or (member.path, member.name) != (path, name):
            if member is not None:
                member.stream.close()
            member = self._member = _open(path, name)
        if member.fortran:  # rows are scattered over the file
            return np.asarray(_load(path, name)[row])
        size = int(np.prod(member.shape[1:])) * member.dtype.itemsize
        member.stream.seek(member.offset + row * size)
        data = member.stream.read(size)
        if len(data) < size:
            raise UserError(f"cannot read {path}: {name} ends before row {row}")
        return np.frombuffer(data, member.dtype).reshape(member.shape[1:])


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


def split_item(item: str) -> tuple[str, int]:
    """Take `"train_images/12"` apart.

    >>> split_item("train_images/12")
    ('train_images', 12)
    """
    name, _, row = item.rpartition("/")
    return name, int(row)


def problem_of(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """Say what keeps an array from being a stack of images, or return an empty string."""
    if dtype.kind not in "biuf":
        return f"holds {dtype}, not numbers"
    if len(shape) not in (3, 4, 5) or 0 in shape[1:]:
        return (
            f"has the shape {shape}; a stack of images is (N, H, W), (N, H, W, 3) or (N, D, H, W)"
        )
    if len(shape) == 5 and shape[1] > 4:
        return f"has the shape {shape}; five axes are (N, C, D, H, W) with up to 4 channels"
    return ""


def voxels_of(row: np.ndarray) -> np.ndarray:
    """Turn one row, (H, W), (H, W, 3), (D, H, W) or (C, D, H, W), into (C, *S).

    Three channels that are all the same become one, as for pictures.
    """
    row = row.astype(np.uint8) if row.dtype == bool else row
    if row.ndim == 4:
        return row  # (C, D, H, W)
    if row.ndim == 3 and row.shape[-1] == 3:
        same = all(np.array_equal(row[..., 0], row[..., c]) for c in (1, 2))
        return np.moveaxis(row[..., :1] if same else row, -1, 0)  # (1|3, H, W)
    return row[None]  # (1, H, W) or (1, D, H, W)


@dataclass
class _Member:
    """An array inside a .npz file, open for reading row by row."""

    path: Path
    name: str
    stream: IO[bytes]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool


def _load(path: Path, name: str = "") -> Any:
    """Load a .npy file, or an array of a .npz file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if not name:
            return loaded
        with loaded as file:
            return file[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise UserError(
            f"cannot read {path}: it holds pickled objects or no array; memtk loads numbers alone"
        ) from error


def _open(path: Path, name: str) -> _Member:
    """Open an array of a .npz file and read its header."""
    with zipfile.ZipFile(path) as file:
        stream = file.open(f"{name}.npy")  # keeps the file open until it is closed itself
    version = np.lib.format.read_magic(stream)
    header: Any = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = header(stream)
    return _Member(path, name, stream, stream.tell(), shape, dtype, fortran)


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset whose voxels lie in this very file."""
    link = file.get(name, getlink=True)
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"cannot read {path}: {name} is not a dataset of this file")
    if dataset.is_virtual or dataset.external:
        raise UserError(f"cannot read {path}: {name} takes its voxels from another file")
    return dataset
