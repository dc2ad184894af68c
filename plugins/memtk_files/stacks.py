"""Arrays that hold many images, one a row, as MedMNIST and most HDF5 files do."""

from __future__ import annotations

import numpy as np

STACKS = ("train_images", "val_images", "test_images", "train", "val", "test", "images")
"""Names of arrays that hold one image a row."""


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
