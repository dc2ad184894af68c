"""Which axis of an array is what: one rule for files and for arrays in memory.

An axis of one entry is no depth. Three or four entries at the end, or three at the beginning beside
two larger axes, are colours. What then has two axes is a picture, what has three a volume.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memtk.errors import UserError

CHANNELS = 4
"""Up to so many entries of the first of four axes are channels; more are images or time points."""

MOST_VOXELS = 2**29
"""An image may have as many voxels, channels included: 512 x 512 x 2048."""

EXPECTED = "(H, W), (H, W, 3), (3, H, W), (D, H, W) or (C, D, H, W) with up to 4 channels"


def layout_of(shape: Sequence[int]) -> str:
    """Return the letters of the axes of one image, "" if none is known: C is its channels.

    >>> [layout_of(s) for s in ((9, 8), (1, 9, 8), (9, 8, 3), (3, 9, 8), (5, 9, 8), (2, 5, 9, 8))]
    ['HW', '1HW', 'HWC', 'CHW', 'DHW', 'CDHW']
    """
    kept = [size for size in shape if size != 1]
    letters = _letters(kept)
    if not letters or 0 in shape:
        return ""
    rest = iter(letters)
    return "".join("1" if size == 1 else next(rest) for size in shape)


def _letters(shape: Sequence[int]) -> str:
    if len(shape) == 2:
        return "HW"
    if len(shape) == 3:
        first, middle, last = shape
        if last == 3 or (last == 4 and min(first, middle) > CHANNELS):
            return "HWC"
        return "CHW" if first == 3 and min(middle, last) > CHANNELS else "DHW"
    if len(shape) == 4:
        if shape[-1] == 3 and min(shape[:3]) > CHANNELS:
            return "DHWC"
        return "CDHW" if shape[0] <= CHANNELS else ""
    return ""


def as_image(array: np.ndarray, what: str) -> np.ndarray:
    """Turn one image of any layout into (C, *S); three channels that are all alike become one.

    Args:
        array: see `layout_of`.
        what: the image, for messages.

    Raises:
        UserError: if it is no image: of other numbers, of other axes, or in part transparent.
    """
    layout = layout_of(array.shape)
    if array.dtype.kind not in "biuf" or not layout:
        raise UserError(
            f"{what}: an array of {array.dtype} and shape {array.shape} is no image; expected "
            f"{EXPECTED}"
        )
    array = array.astype(np.uint8) if array.dtype == bool else array
    flat = array.reshape([size for size in array.shape if size != 1])
    place = layout.replace("1", "").find("C")
    if place < 0:
        return flat[None]
    voxels = np.moveaxis(flat, place, 0)  # (C, *S)
    return gray_if_alike(without_alpha(voxels, what)) if voxels.ndim == 3 else voxels


def without_alpha(pixels: np.ndarray, what: str) -> np.ndarray:
    """Leave out the opaque alpha channel of (2 or 4, H, W).

    Raises:
        UserError: if a part of the picture is transparent.
    """
    if len(pixels) not in (2, 4):
        return pixels
    if np.ptp(pixels[-1]) or not pixels[-1].any():
        raise UserError(f"{what}: a part of it is transparent. Save it without transparency.")
    return pixels[:-1]


def gray_if_alike(pixels: np.ndarray) -> np.ndarray:
    """Make (1, H, W) of a picture (3, H, W) whose channels are all the same."""
    alike = all(np.array_equal(pixels[0], other) for other in pixels[1:])
    return pixels[:1] if alike else pixels
