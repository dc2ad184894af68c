"""Prepared images in as many bits a voxel as their files have, in HDF5 files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from memtk.files import require_space


@dataclass(frozen=True)
class PackedImage:
    """A prepared image with as many bits a voxel as its file has, not a bit of it lost.

    Args:
        data: (C, *S), uint8 or uint16: which of the `values` each voxel has; float32 without them.
        values: float32 (K,) in [-1, 1]; None where the voxels are more than 2^16 different numbers,
            as after resampling.
        spacing: in millimetres.
        digest: its `voxel_hash`; empty where it was not asked for.
    """

    data: np.ndarray
    values: np.ndarray | None
    spacing: tuple[float, ...]
    digest: bytes = b""

    def voxels(self) -> np.ndarray:
        """Return the voxels, float32 (C, *S) in [-1, 1]."""
        return self.data if self.values is None else self.values[self.data]


def write_packed(dataset: h5py.Dataset, row: int, image: PackedImage) -> h5py.Dataset:
    """Write an image into a dataset that `create_images` made, and return the dataset.

    One that has too few bits for it is made anew, with more, and what was written is moved there.
    The values that numbers stand for are the rows of `values` beside it, of which HDF5 stores no
    more than was written; the digest goes into `hashes`, (count, 16), which the caller made.
    """
    group, wider = dataset.parent, np.promote_types(dataset.dtype, image.data.dtype)
    if image.digest:
        group["hashes"][row] = np.frombuffer(image.digest, np.uint8)
    if wider != dataset.dtype:
        dataset = _widened(dataset, wider, row)
    if dataset.dtype.kind == "f" or image.values is None:
        dataset[row] = image.voxels()
        return dataset
    if "values" not in group:
        shape = (len(dataset), 2**16)
        group.create_dataset("values", shape, "f4", chunks=(1, 2**8), fletcher32=True)
    dataset[row] = image.data
    group["values"][row, : len(image.values)] = image.values
    return dataset


def _widened(dataset: h5py.Dataset, dtype: np.dtype, rows: int) -> h5py.Dataset:
    """Return a dataset of more bits in the place of another, with its first `rows` rows."""
    group, values = dataset.parent, dataset.parent.get("values")
    group.move("images", "narrow")
    require_space(Path(group.file.filename), dtype.itemsize * dataset.size)
    kept = {"chunks": dataset.chunks, "fletcher32": True}
    made = group.create_dataset("images", dataset.shape, dtype, **kept)
    for row in range(rows):
        where = slice(row, row + 1)
        made[where] = unpacked(dataset, values if dtype.kind == "f" else None, where)
    made.attrs.update(dataset.attrs)
    del group["narrow"]
    if dtype.kind == "f" and values is not None:
        del group["values"]
    return made


def unpacked(dataset: h5py.Dataset, values: h5py.Dataset | None, where: slice) -> np.ndarray:
    """Return rows of a dataset as float32 (B, C, *S), whatever it holds."""
    found: np.ndarray = dataset[where]
    if values is None:
        return found
    tables = values[where, : int(found.max(initial=0)) + 1]
    return np.stack([table[codes] for table, codes in zip(tables, found, strict=True)])
