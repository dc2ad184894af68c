"""What is checked of the voxels of one image, and how they are scaled to [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from memtk.errors import UserError


@dataclass(frozen=True)
class Palette:
    """The values that the voxels of an image have, how often, and which one each has.

    Args:
        values: float64 (K,), ascending; some may be nowhere in the image. Where its voxels are too
            many different numbers, themselves: (C, *S).
        codes: (C, *S), uint8 or uint16; None where the values are the voxels.
        counts: int64 (K,); None without codes.
    """

    values: np.ndarray
    codes: np.ndarray | None = None
    counts: np.ndarray | None = None


@dataclass(frozen=True)
class PercentileScaling:
    """Maps two percentiles of an image linearly to -1 and 1 and clips what lies outside.

    `y = clip(2 (x - p_low) / (p_high - p_low) - 1, -1, 1)`, with the percentiles over all voxels
    and channels of the one image, as it is stored: scanners of different scale become alike.

    Args:
        low: percentile in [0, 100) that becomes -1.
        high: percentile in (low, 100] that becomes 1.
    """

    low: float = 0.5
    high: float = 99.5

    def __call__(self, voxels: np.ndarray, name: str = "the image") -> np.ndarray:
        """Scale finite voxels (C, *S) of any unit to float32 (C, *S) in [-1, 1].

        Raises:
            UserError: if the two percentiles are equal, as in an image that is nearly blank.
        """
        palette = palette_of(voxels)
        scaled = self.scaled(palette, name)
        return scaled if palette.codes is None else scaled[palette.codes]

    def scaled(self, palette: Palette, name: str = "the image") -> np.ndarray:
        """Scale the values of an image's palette: float32, of their shape.

        Raises:
            UserError: as in a call.
        """
        values = palette.values
        if palette.counts is None:
            bottom, top = np.percentile(values, [self.low, self.high])
        else:
            bottom, top = _percentiles(values, palette.counts, self.low, self.high)
        if not top > bottom:
            raise UserError(
                f"{name} is nearly blank: its percentiles {self.low:g} and {self.high:g} are both "
                f"{bottom:g}"
            )
        scaled: np.ndarray = 2 * ((values - bottom) / (top - bottom)) - 1
        return scaled.clip(-1, 1).astype(np.float32)

    def recipe(self) -> dict[str, object]:
        """Return what is done, for the result."""
        return {
            "method": "percentiles of each image, all voxels and channels together",
            "percentiles": [self.low, self.high],
            "range": [-1.0, 1.0],
            "clipped": True,
        }


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


def count_codes(codes: np.ndarray, count: int) -> np.ndarray:
    """Return how often each of the numbers below `count` occurs: int64 (count,).

    Args:
        codes: uint8 or uint16, of any shape.

    >>> count_codes(np.array([0, 2, 2], np.uint8), 4).tolist()
    [1, 0, 2, 0]
    """
    if codes.dtype == np.uint8 or count <= 2**15:  # as signed numbers they are the same
        flat = codes.ravel(order="K")
        flat = flat if flat.flags.writeable else flat.copy()  # torch warns of what is not
        signed = flat if flat.dtype == np.uint8 else flat.view(np.int16)
        found: np.ndarray = torch.bincount(torch.from_numpy(signed), minlength=count).numpy()
        return found  # in a tenth of the time of NumPy, which makes 64-bit numbers first
    return np.bincount(codes.ravel(order="K"), minlength=count)


def palette_of(voxels: np.ndarray) -> Palette:
    """Return the palette of finite voxels (C, *S).

    There are codes where the voxels are whole numbers of a short range, as of 8-bit pictures, or
    few numbers at all, as floats that such were scaled to: then scaling and checks cost looks into
    a table, and an image is kept in 8 or 16 bits a voxel.
    """
    if voxels.dtype == np.uint8:
        return Palette(np.arange(256, dtype=np.float64), voxels, count_codes(voxels, 256))
    most = min(voxels.size, 2**16)
    if voxels.dtype.kind == "f":
        voxels = _whole(voxels, most)
    if voxels.dtype.kind in "iu":
        lowest, highest = int(voxels.min()), int(voxels.max())
        if highest - lowest < most:
            kind = _kind(highest - lowest + 1)
            codes = voxels.astype(kind, copy=False)  # what wraps around here wraps back
            codes = codes - np.array(lowest % 256**kind.itemsize, kind) if lowest else codes
            values = np.arange(lowest, highest + 1, dtype=np.float64)
            return Palette(values, codes, count_codes(codes, len(values)))
    some = voxels.ravel(order="K")[:: max(1, voxels.size // 4096)]
    if len(np.unique(some)) < 0.9 * len(some) and len(values := np.unique(voxels)) < most:
        codes = np.searchsorted(values, voxels).astype(_kind(len(values)))
        return Palette(values.astype(np.float64), codes, count_codes(codes, len(values)))
    return Palette(voxels.astype(np.float64))


def _whole(voxels: np.ndarray, most: int) -> np.ndarray:
    """Return floats as integers where all are whole numbers of a range of less than `most`."""
    lowest, highest = float(voxels.min()), float(voxels.max())
    some = voxels.ravel(order="K")[:: max(1, voxels.size // 4096)]
    if not (highest - lowest < most and abs(lowest) < 2**31 and (some == np.rint(some)).all()):
        return voxels
    whole = voxels.astype(np.int32)
    return whole if np.array_equal(whole, voxels) else voxels


def _kind(count: int) -> np.dtype[Any]:
    return np.dtype(np.uint8 if count <= 2**8 else np.uint16)


def _percentiles(values: np.ndarray, counts: np.ndarray, *asked: float) -> list[float]:
    """Return what `np.percentile` gives for `values` (K,) that occur `counts` (K,) times each."""
    ends, found = np.cumsum(counts), []
    for percentile in asked:
        place = (int(ends[-1]) - 1) * (percentile / 100)
        below = int(place)
        pair = ends.searchsorted([below, min(below + 1, int(ends[-1]) - 1)], side="right")
        (low, high), part = values[pair].tolist(), place - below
        gap = high - low  # NumPy's own order of steps, to the same bits
        found.append(low + gap * part if part < 0.5 else high - gap * (1 - part))
    return found
