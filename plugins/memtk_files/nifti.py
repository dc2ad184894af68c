"""NIfTI volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from memtk import UserError
from memtk.interfaces import Record, Volume
from memtk_files.reading import reading, real_numbers

CHANNELS = 4
"""A fourth axis up to this long holds channels; a longer one is taken for time points."""


class NiftiReader:
    """Reads NIfTI-1 and NIfTI-2.

    Voxels keep the order in which they are stored: (1, X, Y, Z), or (C, X, Y, Z) where a fourth
    axis of at most four entries holds channels. A single slice (X, Y) or (X, Y, 1) is the 2D image
    (1, X, Y). Slope and intercept of the header are applied.

    The affine is the header's where it says that it has one (sform or qform code above zero) and
    that can be inverted; otherwise there is none and the spacing is the header's zooms.
    """

    suffixes = (".nii", ".nii.gz")

    def records(self, path: Path) -> Sequence[Record]:
        """Return the one image of a file."""
        return [Record(path)]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file is damaged, holds time points, or voxels that are not numbers.
        """
        with reading(record.path, kind="NIfTI file"):
            image: Any = nibabel.load(record.path)
            if not isinstance(image, nibabel.Nifti1Image):
                raise UserError(
                    f"cannot read {record.path}: it is {type(image).__name__}, not NIfTI"
                )
            if not real_numbers(image.get_data_dtype()):
                raise UserError(
                    f"cannot read {record.path}: its voxels are {image.get_data_dtype()}; "
                    "memtk takes one real number a voxel"
                )
            shape = _trimmed(image.shape, record.path)
            voxels = np.asanyarray(image.dataobj).reshape(shape)  # (X, Y[, Z[, C]])
        axes = min(len(shape), 3)
        voxels = np.moveaxis(voxels, 3, 0) if len(shape) == 4 else voxels[None]  # (C, *S)
        zooms = [abs(float(z)) for z in image.header.get_zooms()[:axes]]
        affine = _affine(image)
        if affine is not None:  # the zooms can disagree with an sform, which is what counts
            zooms = [float(z) for z in np.linalg.norm(affine[:3, :axes], axis=0)]
        spacing = tuple(z if np.isfinite(z) and z > 0 else 1.0 for z in zooms)
        return Volume(voxels, spacing, affine)


def _trimmed(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """Drop trailing axes of one entry, which NIfTI pads its shapes with."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 2 or 0 in shape:
        raise UserError(f"cannot read {path}: its shape {shape} is no image")
    if len(shape) > 4 or (len(shape) == 4 and shape[3] > CHANNELS):
        size = " x ".join(map(str, shape))
        raise UserError(
            f"cannot read {path}: it holds {size} values, a series of volumes rather than one.\n"
            f"Save one file a volume (a fourth axis of up to {CHANNELS} counts as channels)."
        )
    return shape


def _affine(image: Any) -> np.ndarray | None:
    """Return the header's voxel-to-world matrix, or None where it has no usable one."""
    header = image.header
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        return None
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        return None
    return affine
