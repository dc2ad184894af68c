"""NumPy files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from memtk import UserError
from memtk.interfaces import Record, Volume
from memtk_files.reading import reading
from memtk_files.stacks import STACKS, problem_of, split_item, voxels_of


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
