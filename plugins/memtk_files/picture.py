"""PNG, JPEG and TIFF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tifffile

from memtk import UserError
from memtk.interfaces import Record, Volume
from memtk_files.reading import reading, real_numbers


class PictureReader:
    """Reads pictures of 8 or 16 bit (TIFF: any real numbers).

    Gray pictures are (1, H, W). Colour pictures are (3, H, W), or (1, H, W) where the three
    channels are the same. An opaque alpha channel is left out; a transparent one is an error. A
    TIFF of several pages of one size is the volume (1, D, H, W), one slice a page. The spacing is
    1, because what these formats say about it is about print.
    """

    suffixes = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

    def records(self, path: Path) -> Sequence[Record]:
        """Return the one image of a file."""
        return [Record(path)]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file is damaged, animated or transparent.
        """
        path = record.path
        with reading(path, kind="picture"):
            tiff = path.name.lower().endswith((".tif", ".tiff"))
            pixels, volume = _tiff(path) if tiff else (imageio.imread(path), False)
            if not real_numbers(pixels.dtype):
                raise UserError(f"cannot read {path}: its pixels are {pixels.dtype}")
        pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
        if volume:
            return Volume(pixels[None], (1.0, 1.0, 1.0))  # (1, D, H, W)
        return Volume(_channels(pixels, path), (1.0, 1.0))  # (C, H, W)


def _tiff(path: Path) -> tuple[np.ndarray, bool]:
    """Return (H, W[, C]) and False, or (D, H, W) and True."""
    with tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            raise UserError(
                f"cannot read {path}: it holds {len(file.series)} pictures of different sizes.\n"
                "Save one file a picture."
            )
        series = file.series[0]
        axes, pixels = series.axes, series.asarray()
    if pixels.ndim == 2:
        return pixels, False
    if axes == "SYX":  # planar colour
        return np.moveaxis(pixels, 0, -1), False
    if pixels.ndim == 3 and axes == "YXS":
        return pixels, False
    if pixels.ndim == 3 and axes.endswith("YX"):
        return pixels, True
    raise UserError(
        f"cannot read {path}: its axes {axes} of {' x '.join(map(str, pixels.shape))} are neither "
        "a picture nor a stack of gray slices"
    )


def _channels(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Turn (H, W), (H, W, 2|3|4) into (1, H, W) or (3, H, W)."""
    if pixels.ndim == 2:
        return pixels[None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        size = " x ".join(map(str, pixels.shape))
        raise UserError(f"cannot read {path}: {size} values are no still picture")
    if pixels.shape[2] in (2, 4):
        if np.ptp(pixels[..., -1]) or not pixels[..., -1].any():
            raise UserError(
                f"cannot read {path}: a part of it is transparent. Save it without transparency."
            )
        pixels = pixels[..., :-1]
    if all(np.array_equal(pixels[..., 0], pixels[..., c]) for c in range(1, pixels.shape[2])):
        pixels = pixels[..., :1]
    return np.moveaxis(pixels, 2, 0)
