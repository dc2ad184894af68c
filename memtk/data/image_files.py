"""Files of prepared images: how they lie in HDF5, and whether they still do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from memtk.data.conditions import described
from memtk.errors import UserError
from memtk.files import require_space
from memtk.interfaces import ImageSpec
from memtk.surroundings import restore


def create_images(
    group: h5py.Group, count: int, spec: ImageSpec, dtype: Any = np.float32
) -> h5py.Dataset:
    """Make the dataset `images` (count, C, *S); set its attribute `complete` when it is filled.

    One chunk an image, with a checksum, so that damage is noticed when it is read. Where the images
    have conditions, `conditions` (count, K) beside it is for the caller to fill.

    Args:
        dtype: float32; or uint8 or uint16, for `PackedWriter`.

    Raises:
        UserError: if the disk has no room for them.
    """
    shape = (spec.channels, *spec.shape)
    require_space(Path(group.file.filename), np.dtype(dtype).itemsize * count * math.prod(shape))
    filled: dict[str, Any] = {"chunks": (1, *shape), "fletcher32": True} if count else {}
    dataset = group.create_dataset("images", (count, *shape), dtype=dtype, **filled)
    dataset.attrs["spacing"] = np.asarray(spec.spacing, dtype=np.float64)
    if spec.conditions:
        dataset.attrs["conditions"] = json.dumps(described(spec.conditions))
        group.create_dataset("conditions", (count, len(spec.conditions)), dtype="f4")
    return dataset


def open_prepared(path: Path) -> h5py.File:
    """Open a file of prepared images; what is no plain file could be waited for.

    Raises:
        UserError: if it is none or is damaged, naming it.
    """
    restore()
    if not path.is_file():
        raise UserError(f"cannot read {path}: there is no such file")
    try:
        return h5py.File(path, "r", locking=False)  # written whole and never changed: no lock
    except OSError as error:
        raise damaged(path) from error


def find_images(file: h5py.File, group: str, path: Path) -> h5py.Dataset:
    """Return the images of a group, (N, C, *S).

    Raises:
        UserError: if they are not there, or what lies beside them is not as `prepare` and
            `write_images` leave it, naming the file.
    """
    try:
        dataset = file.get(f"{group}/images")
        if isinstance(dataset, h5py.Dataset) and dataset.attrs["complete"] and _fit(dataset):
            return dataset
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path) from error
    raise damaged(path)


def _fit(dataset: h5py.Dataset) -> bool:
    """Tell whether there is one row for each image in all that lies beside them."""
    beside, count = dataset.parent, len(dataset)
    dims, told = dataset.ndim - 2, len(json.loads(dataset.attrs.get("conditions", "[]")))
    rows = {"patients": (), "strata": (), "digests": (16,), "conditions": (told,)}
    if dataset.dtype.kind == "u" and "values" in beside:
        rows["values"] = (2**16,)
    fit = all(beside[k].shape == (count, *row) for k, row in rows.items() if k in beside)
    whole = dataset.attrs.get("whole", dataset.shape[2:])
    known = len(dataset.attrs["spacing"]) in (0, dims)  # none: nobody said it
    return fit and dims in (2, 3) and known and len(whole) == dims


def texts_of(group: h5py.Group, name: str) -> tuple[str, ...]:
    """Return the text of each image that is stored as `name`; empty if none is."""
    found = group.get(name)
    return () if found is None else tuple(found.asstr()[:].tolist())


def damaged(path: Path) -> UserError:
    """Return what is said of a file of prepared images that is damaged."""
    return UserError(f"{path} is damaged: delete it and run the same command again")
