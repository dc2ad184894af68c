"""What is checked of the voxels of one image, and how they are scaled to [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from memtk.errors import UserError


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
        scaled, codes, _ = self.coded(voxels, name)
        return scaled if codes is None else scaled[codes]

    def coded(
        self, voxels: np.ndarray, name: str = "the image"
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return scaled values, float32 (K,), ascending, which one each voxel has, and how often.

        Whole numbers of a short range are scaled so, as those of 8 and 16 bits: codes (C, *S) and
        counts (K,). Else what is returned are the scaled voxels themselves, (C, *S), and None.

        Raises:
            UserError: as in a call.
        """
        values, codes = _palette(voxels)
        counts = None
        if codes is None:
            bottom, top = np.percentile(values, [self.low, self.high])
        else:
            counts = count_codes(codes, len(values))
            bottom, top = _percentiles(values, counts, self.low, self.high)
        if not top > bottom:
            raise UserError(
                f"{name} is nearly blank: its percentiles {self.low:g} and {self.high:g} are both "
                f"{bottom:g}"
            )
        scaled = 2 * ((values - bottom) / (top - bottom)) - 1
        return np.clip(scaled, -1, 1).astype(np.float32), codes, counts

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


def _palette(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return float64 values and, for each voxel, which of them it has; None: the voxels themselves.

    Whole numbers of a short range, as of 8-bit pictures, and floats that such were scaled to: then
    scaling costs a look into a table, and an image is kept in 8 or 16 bits a voxel.
    """
    most = min(voxels.size, 2**16)
    if voxels.dtype.kind == "f":
        voxels = _whole(voxels, most)
    if voxels.dtype.kind in "iu":
        lowest, highest = int(voxels.min()), int(voxels.max())
        if highest - lowest < most:
            kind = _kind(highest - lowest + 1)
            codes = voxels.astype(kind, copy=False)  # what wraps around here wraps back
            codes = codes - np.array(lowest % 256**kind.itemsize, kind) if lowest else codes
            return np.arange(lowest, highest + 1, dtype=np.float64), codes
    elif voxels.dtype.kind == "f":
        some = voxels.ravel(order="K")[:: max(1, voxels.size // 4096)]
        if len(np.unique(some)) < 0.9 * len(some) and len(values := np.unique(voxels)) < most:
            codes = np.searchsorted(values, voxels).astype(_kind(len(values)))
            return values.astype(np.float64), codes
    return voxels.astype(np.float64), None


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
        pair = values[np.searchsorted(ends, [below, min(below + 1, ends[-1] - 1)], side="right")]
        found.append(float(np.quantile(pair, place - below)))
    return found
