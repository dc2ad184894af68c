"""HDF5 files: datasets that hold many images, one a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from memtk import UserError
from memtk.hdf5 import open_hdf5, own_place
from memtk.imaging.geometry import as_image, without_padding
from memtk.interfaces import Record, Volume
from memtk_files.arrays import (
    BESIDE,
    STACKS,
    check_patients,
    check_stack,
    name_of_patients,
    names_of,
    split_item,
)

MEANING = {"scale_factor": 1, "add_offset": 0, "IMAGE_WHITE_IS_ZERO": 0, "PALETTE": None}
"""Attributes of datasets (NetCDF, HDF5 Image) that change what numbers mean, and when not."""

PADDING = frozenset({"_FillValue", "missing_value"})
"""Attributes of datasets (NetCDF) that say which number stands where nothing was measured."""


class Hdf5Reader:
    """Reads stacks of images: datasets `train`, `val`, `test` (or MedMNIST's names) or `images`.

    A dataset is (N, H, W), (N, H, W, 3), (N, D, H, W) or (N, C, D, H, W); row i is one image. Other
    datasets and groups are left out, and so is a second name of one. Links and datasets that point
    into other files are refused. Padding (`_FillValue`) counts as the least of the other voxels.
    The spacing is that of the attribute `element_size_um`, else 1.
    """

    suffixes = (".h5", ".hdf5")

    def __init__(self) -> None:
        self._file: h5py.File | None = None
        self._path: Path | None = None

    def records(self, path: Path) -> Sequence[Record]:
        """List the images of a file.

        Raises:
            UserError: if the file has no such dataset, or one that was never filled.
        """
        records: list[Record] = []
        with open_hdf5(path) as file:
            stacks = _stacks(file, path)
            for name, dataset in stacks.items():
                check_stack(path, name, dataset.shape or (), dataset.dtype)
                if not dataset.id.get_storage_size():
                    raise UserError(f"cannot read {path}: {name} was made and never filled")
                whose = _patients_in(file, name_of_patients(list(file), name), len(dataset), path)
                records += [Record(path, f"{name}/{row}", who) for row, who in enumerate(whose)]
            there = sorted(file.keys())
        if not records:
            has = ", ".join(there[:9]) or "nothing"
            raise UserError(
                f"{path} has no images: expected {', '.join(STACKS)}; it has {has}. Write its "
                "images as one of these: np.savez('a.npz', images=array)"
            )
        return records + [Record(path, n, left_out=BESIDE) for n in there if n not in stacks]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the dataset takes its voxels from another file.
        """
        name, row = split_item(record.item)
        dataset = _dataset(self._open(record.path), name, record.path)
        voxels = np.asarray(dataset[row])
        for value in (np.ravel(dataset.attrs[key]) for key in sorted(PADDING & {*dataset.attrs})):
            if value.size == 1 and value.dtype.kind in "iuf":
                voxels = without_padding(voxels, voxels, value[0])
        voxels = as_image(voxels, f"cannot read {record.path} ({record.item})")
        return Volume(voxels, _spacing(dataset, voxels.ndim - 1, record.path))

    def _open(self, path: Path) -> h5py.File:
        """Keep the last file open: its images are read one after the other."""
        if self._file is None or self._path != path:
            if self._file is not None:
                self._file.close()
            self._file, self._path = open_hdf5(path), path
        return self._file


def _spacing(dataset: h5py.Dataset, axes: int, path: Path) -> tuple[float, ...]:
    """Return the size of a voxel in millimetres as Fiji and ilastik write it, 1 where unknown."""
    said = np.ravel(dataset.attrs.get("element_size_um", ()))
    if not said.size:
        return (1.0,) * axes
    if said.size != 3 or said.dtype.kind not in "iuf" or not (np.isfinite(said) & (said > 0)).all():
        raise UserError(
            f"cannot read {path}: its attribute element_size_um is no three sizes: leave it out"
        )
    return tuple((said[-axes:] / 1000).tolist())


def _stacks(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """Return the datasets that hold images by their names: one that has two of them once."""
    found: dict[str, h5py.Dataset] = {}
    for name in STACKS:
        if name in file.keys() and (dataset := _dataset(file, name, path)) not in found.values():  # noqa: SIM118 (no link followed)
            found[name] = dataset
    return found


def _patients_in(file: h5py.File, name: str, count: int, path: Path) -> list[str]:
    """Return whose each row of a stack is by a dataset, "" where there is none.

    Raises:
        UserError: if it is none of one name a row.
    """
    if not name:
        return [""] * count
    found: Any = file[at] if (at := own_place(file, name)) else None
    there = isinstance(found, h5py.Dataset)
    text = h5py.check_string_dtype(found.dtype) if there else None
    named = bool(text) or (there and found.dtype.kind in "biufS")
    check_patients(path, name, (there and found.shape) or (), count, named=named)
    return names_of(np.ravel(found.asstr()[()] if text else found[()]))


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset whose voxels lie in this very file; soft links within it are followed."""
    dataset = file[at] if (at := own_place(file, name)) else None
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(
            f"cannot read {path}: {name} is not a dataset of this file: write its images as one, "
            f"file['{name}'] = np.stack(list_of_arrays)"
        )
    if dataset.is_virtual or dataset.external:
        raise UserError(f"cannot read {path}: {name} takes its voxels from another file")
    for key, plain in MEANING.items():
        if key in dataset.attrs and not np.array_equal(
            np.ravel(dataset.attrs[key]), np.array([plain])
        ):
            raise UserError(
                f"cannot read {path}: the attribute {key} of {name} says that its numbers mean "
                "something else: apply it, and save them without"
            )
    return dataset
