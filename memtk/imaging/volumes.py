"""What is checked of the voxels of one image."""

from __future__ import annotations

import numpy as np

from memtk.errors import UserError


def count_nonfinite(voxels: np.ndarray) -> int:
    """Return how many voxels are NaN or infinite.

    >>> count_nonfinite(np.array([1.0, np.nan, np.inf]))
    2
    """
    if voxels.dtype.kind in "biu":
        return 0
    return int(voxels.size - np.isfinite(voxels).sum())


def is_constant(voxels: np.ndarray) -> bool:
    """Tell whether all voxels have one value.

    >>> is_constant(np.zeros((1, 4, 4)))
    True
    """
    return bool(voxels.min() == voxels.max())


def check_voxels(voxels: np.ndarray, name: str) -> None:
    """Refuse an image (C, *S) that nothing can be learned from.

    Args:
        name: of the image, for the message.

    Raises:
        UserError: if it has neither 2 nor 3 spatial axes, NaN or infinite voxels, or one value
            everywhere.
    """
    dims = voxels.ndim - 1
    if dims not in (2, 3) or 0 in voxels.shape:
        raise UserError(f"{name} has the shape {voxels.shape}: expected channels and 2 or 3 axes")
    bad = count_nonfinite(voxels)
    if bad:
        raise UserError(f"{name} has {bad} NaN or infinite voxels of {voxels.size}")
    if is_constant(voxels):
        raise UserError(f"{name} is blank: every voxel is {voxels.flat[0]:g}")
