"""Images that are in memory: arrays, tensors, sets that are read piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from memtk.data.config import ARRAY, DataConfig
from memtk.data.manifest import Manifest, Row
from memtk.data.patients import patient_names
from memtk.errors import UserError, many
from memtk.imaging.geometry import SHAPES, as_image, rows_of
from memtk.interfaces import Images, Record, Volume

PIL_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N", "F", "RGB", "RGBA", "LA")
"""Modes of PIL's pictures whose numbers are gray values, or red, green and blue."""


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory, as the source of one group of a run.

    Args:
        name: of the argument that they were given as: row 6 of "synthetic" is called
            `synthetic[6]` in messages.
        images: an array whose rows are images (see `imaging.geometry`), or a set that is read row
            by row, (C, *S) each.
        patients: of each image; None where nobody says, and each counts as a patient of its own.
    """

    name: str
    images: np.ndarray | Images
    patients: tuple[str, ...] | None = None

    def voxels(self, row: int) -> np.ndarray:
        """Return one image (C, *S)."""
        if isinstance(self.images, np.ndarray):
            return as_image(self.images[row], f"{self.name}[{row}]")
        return self.images.read([row])[0].numpy()

    def volume(self, row: int) -> Volume:
        """Return one image; an array says neither voxel size (1 is taken) nor orientation."""
        voxels = self.voxels(row)
        spacing: tuple[float, ...] = (1.0,) * (voxels.ndim - 1)
        if not isinstance(self.images, np.ndarray):
            spacing = self.images.spec.spacing or spacing
        return Volume(voxels, spacing)

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """Of each image a text that changes when it does."""
        rows = (np.ascontiguousarray(self.voxels(row)) for row in range(len(self.images)))
        return tuple(_hash([f"{x.shape} {x.dtype}".encode(), x.tobytes()]) for x in rows)

    @cached_property
    def source(self) -> str:
        """What `DataConfig` calls them; it changes when an image or a patient does."""
        texts = (*self.contents, repr(self.patients))
        return f"{ARRAY}{self.name}:{_hash(text.encode() for text in texts)[:16]}"

    def manifest(self) -> Manifest:
        """List the images, as files are listed."""
        own = tuple(map(str, range(len(self.images))))
        rows = [
            Row(Record(Path(self.source), f"{row:09d}"), patient)
            for row, patient in enumerate(self.patients or own)
        ]
        notes: tuple[str, ...] = ()
        if self.patients is None and self.name != "synthetic":
            notes = (
                f"{self.name}_patients= is not given, so each of the {len(rows)} counts as a "
                "patient of its own. If a patient has several, name the patient of each",
            )
        return Manifest(tuple(rows), notes, self.patients is not None)


class ArrayConfig(DataConfig):
    """The images of a run some of which are in memory: no file and no option can say that."""

    _held: dict[str, ArrayImages] = PrivateAttr(default_factory=dict)

    def holding(self, held: Iterable[ArrayImages]) -> ArrayConfig:
        """Return the same with the images that its sources name."""
        made = self.model_copy()
        made._held = {images.source: images for images in held}
        return made

    def held(self, source: str) -> ArrayImages | None:
        """Return the images that a source names; None of a file."""
        return self._held.get(source)


def held_in(config: DataConfig, source: str) -> ArrayImages | None:
    """Return the images in memory that a source of a run names; None of a file.

    Raises:
        UserError: if they are no longer there.
    """
    if not source.startswith(ARRAY):
        return None
    found = config.held(source) if isinstance(config, ArrayConfig) else None
    if found is None:
        raise UserError(
            f"the images were given to memtk.audit as an array ({source.split(':')[1]}=) and lie "
            "in no file: call it again with what you want to audit"
        )
    return found


def array_images(name: str, value: Any, patients: Sequence[Any] | None = None) -> ArrayImages:
    """Take what somebody has in memory for a set of images.

    Args:
        name: of the argument, for messages.
        value: an array, a tensor on any device, a list of either, or `memtk.interfaces.Images`,
            whose patients are taken unless others are given. Which axis is which is told as in
            files (`imaging.geometry`): (N, 3, H, W) and (N, H, W, 3) are colour pictures, never
            volumes of three slices or columns.
        patients: of each image, (N,).

    Raises:
        UserError: for anything else, a shape that could be two things, or as many patients as
            there are not images.
    """
    images: np.ndarray | Images
    if hasattr(value, "read") and hasattr(value, "spec"):
        patients = getattr(value, "patients", None) or None if patients is None else patients
        images = value
    else:
        images = _numbers(name, value)
        rows_of(images.shape, name)
    named = None if patients is None else patient_names(patients, f"{name}_patients")
    if named is not None and len(named) != len(images):
        raise UserError(
            f"{name}: {many(len(images), 'image')} and {many(len(named), 'patient')}: one for each"
        )
    return ArrayImages(name, images, named)


def as_numpy(name: str, value: Any) -> np.ndarray:
    """Return an array, a tensor of any device, or a list of either as one array on the CPU.

    Raises:
        UserError: naming the argument, for what is none, or hides some of its numbers.
    """
    try:
        return _as_numpy(name, value)
    except (ValueError, TypeError, RuntimeError) as error:  # a tensor of another layout or device
        raise UserError(f"{name}: the images differ in shape, or are none: {error}") from error


def _as_numpy(name: str, value: Any) -> np.ndarray:
    if isinstance(value, list | tuple):
        return np.asarray([_as_numpy(name, each) for each in value])
    if isinstance(value, np.ma.MaskedArray):
        raise UserError(
            f"{name}: what a masked array hides would count: give {name}.filled(0) or the like"
        )
    if hasattr(value, "getbands") and value.mode not in PIL_MODES:
        raise UserError(
            f"{name}: a picture of PIL in mode {value.mode} holds no gray values or colours: give "
            "picture.convert('RGB'), or convert('L')"
        )
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    if "bfloat16" in str(getattr(value, "dtype", "")):  # which NumPy does not know
        value = value.float()
    array = np.asarray(value)
    return _as_numpy(name, list(array)) if array.dtype == object and array.ndim == 1 else array


def _numbers(name: str, value: Any) -> np.ndarray:
    array = as_numpy(name, value)
    if array.dtype.kind not in "fiub" or not 3 <= array.ndim <= 5 or not array.size:
        what = (
            f"an array of {array.dtype} and shape {array.shape}"
            if array.ndim
            else type(value).__name__
        )
        raise UserError(f"{name}: {what} holds no images. {SHAPES}")
    return array.astype(np.uint8) if array.dtype == bool else array


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
