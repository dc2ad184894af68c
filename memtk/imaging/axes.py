"""Which axis of an array is which: one rule for arrays in memory and in files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memtk.errors import UserError

CHANNELS = 4
"""An axis of up to so many entries may hold channels; a picture has more along each of its own."""

EXPECTED = (
    f"(H, W), (H, W, 3), (3, H, W), (D, H, W) or (C, D, H, W) with up to {CHANNELS} channels, and "
    "more along each other axis"
)

SHAPES = (
    "Give (N, H, W) for gray pictures, (N, H, W, 3) or (N, 3, H, W) for colour ones, (N, D, H, W) "
    "or (N, 1, D, H, W) for volumes; of channels that are no colours, one at a time."
)

TWO_WAYS = (
    "Either its first or its last axis counts pictures (the last one does in MATLAB's files): give "
    "images[:, None], (N, 1, H, W), or np.moveaxis(images, -1, 0)[:, None]"
)


def layout_of(shape: Sequence[int]) -> str:
    """Return the letters of the axes of one image; "" if there are none, or it could be two things.

    An axis of 1 that comes first or last holds the one channel, elsewhere it is a depth of one
    slice, which is none. Where no such axis says it, an axis of 3 at either end holds colours, one
    of 4 at the end colours and their opacity; what else has so few entries at an end could be
    channels or slices.

    >>> [layout_of(s) for s in ((9, 8), (1, 9, 8), (9, 8, 3), (3, 9, 8), (5, 9, 8), (2, 5, 9, 8))]
    ['HW', '1HW', 'HWC', 'CHW', 'DHW', 'CDHW']
    >>> [layout_of(s) for s in ((1, 2, 9, 8), (2, 9, 8), (9, 8, 2), (9, 1, 8), (3, 3, 9), (9, 3))]
    ['1DHW', '', '', '', '', '']
    """
    kept = [size for size in shape if size != 1]
    long = [size > CHANNELS for size in kept]
    said = len(shape) > len(kept) and 1 in (shape[0], shape[-1])  # an axis for the one channel
    letters = ""
    if 0 in shape or len(shape) > 4:
        return ""
    if len(kept) == 2 and long[0] == long[1] and (said or len(shape) == 2):
        letters = "HW"
    elif len(kept) == 3 and shape[0] == 1 and said:
        letters = "DHW" if kept[-1] != 3 or not all(long[:2]) else ""
    elif len(kept) == 3 and all(long) and (said or len(shape) == 3):
        letters = "DHW"
    elif len(kept) == 3 and not said and all(long[1:]) and kept[0] == 3:
        letters = "CHW"
    elif len(kept) == 3 and not said and all(long[:-1]) and kept[-1] in (3, 4):
        letters = "HWC"
    elif len(kept) == 4 and sum(long) == 3:
        letters = {(0, 1): "CDHW", (1, 0): "DHWC"}.get((long[0], long[-1]), "")
    rest = iter(letters)
    return "".join("1" if size == 1 else next(rest) for size in shape) if letters else ""


def rows_of(shape: Sequence[int], what: str) -> str:
    """Return the letters of one row of an array that holds an image a row, as `layout_of` does.

    Args:
        shape: of the array.
        what: the array, for messages.

    Raises:
        UserError: with the way out, if its rows are no images or could be two things, or may as
            well lie along the last axis.

    >>> [rows_of(s, "x") for s in ((30, 28, 24), (30, 28, 28, 3), (30, 1, 4, 28, 28))]
    ['HW', 'HWC', '1DHW']
    """
    pictures = len(shape) in (3, 4) and shape[0] == shape[1] > CHANNELS
    if pictures and shape[-1] > CHANNELS and shape[-1] != shape[-2]:
        raise UserError(f"{what} has the shape {tuple(shape)}. {TWO_WAYS}")
    letters = layout_of(shape[1:])
    if not letters:
        raise UserError(
            f"{what}: the shape {tuple(shape)} does not say which axis holds channels. {SHAPES}"
        )
    return letters


def holds_many(shape: Sequence[int]) -> bool:
    """Tell whether an array that says no more holds an image a row: not where it can be one image.

    >>> [holds_many(s) for s in ((900, 9, 8), (9, 9, 8, 3), (6, 1, 9, 8), (2, 5, 9, 8))]
    [False, True, True, False]
    """
    return len(shape) > 3 and shape[0] > 1 and layout_of(shape) != "CDHW"


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
