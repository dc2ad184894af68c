"""Images that were given as arrays, laid out as files that an audit reads."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtk.errors import UserError
from memtk.files import write_text

NAMES = ("train", "validation", "held_out", "synthetic")
"""What the sets are called, as arguments and as folders."""


@dataclass(frozen=True)
class GivenSet:
    """One set of images.

    Args:
        name: one of `NAMES`.
        images: (N, *S) or (N, *S, 3), a row an image.
        patients: of each image, (N,); none: each image counts as a patient of its own.
    """

    name: str
    images: np.ndarray
    patients: tuple[str, ...] | None

    def digest(self) -> str:
        """Return a hash of voxels and patients."""
        found = hashlib.sha256(repr((self.images.shape, str(self.images.dtype))).encode())
        found.update(np.ascontiguousarray(self.images).tobytes())
        found.update("\0".join(self.patients or ()).encode())
        return found.hexdigest()

    def write(self, folder: Path) -> Path:
        """Write a file for each image below `folder`; return what an audit reads.

        That is a manifest, or the folder of the files where nobody says whose the images are.
        """
        place = folder / self.name
        place.mkdir(parents=True, exist_ok=True)
        paths = [place / f"{row:06d}.npy" for row in range(len(self.images))]
        for path, image in zip(paths, self.images, strict=True):
            np.save(path, image, allow_pickle=False)
        if self.patients is None:
            return place
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("path", "patient_id"))
        names = (f"{self.name}/{path.name}" for path in paths)
        writer.writerows(zip(names, self.patients, strict=True))
        manifest = folder / f"{self.name}.csv"
        write_text(manifest, table.getvalue())
        return manifest


def is_path(value: Any) -> bool:
    """Tell whether images are named rather than given."""
    return isinstance(value, str | Path)


def on_cpu(value: Any) -> Any:
    """Return a tensor of any device without its gradient, on the CPU; all else as it is."""
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    return value


def as_set(name: str, value: Any, patients: Sequence[Any] | None) -> GivenSet:
    """Turn what a caller has into a set of images.

    Args:
        name: of the argument, for messages.
        value: an array, a tensor on any device, or `memtk.interfaces.Images`, whose patients are
            taken unless others are given. (N, H, W) and (N, D, H, W) are gray; an axis of 1 or 3
            behind the first is taken for channels, as torch has them, and one of 3 at the end too.
        patients: of each image.

    Raises:
        UserError: for anything else, or as many patients as there are not images.
    """
    if hasattr(value, "read") and hasattr(value, "spec"):
        patients = getattr(value, "patients", None) if patients is None else patients
        value = value.read(range(len(value)))
    try:
        array = np.asarray(on_cpu(value))
    except ValueError as error:
        raise UserError(f"{name}: the images differ in shape: {error}") from error
    if array.dtype.kind not in "fiub" or array.ndim < 2 or not len(array):
        raise UserError(
            f"{name}: an array of {array.dtype} and shape {array.shape} holds no images. Give "
            "(N, H, W), (N, D, H, W), the same with channels, or the path of a manifest or folder."
        )
    if array.dtype == bool:
        array = array.astype(np.uint8)
    names = None if patients is None else tuple(str(patient) for patient in patients)
    if names is not None and len(names) != len(array):
        raise UserError(f"{name}: {len(array)} images and {len(names)} patients: one for each")
    return GivenSet(name, _channels_last(array), names)


def _channels_last(array: np.ndarray) -> np.ndarray:
    """Drop a channel axis of 1, and put one of 3 where files of colour images have it."""
    if array.ndim in (4, 5) and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim == 4 and array.shape[1] == 3:
        return np.moveaxis(array, 1, -1)
    if array.ndim == 4 and array.shape[-1] == 1:
        return array[..., 0]
    return array
