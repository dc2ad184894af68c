"""PNG, JPEG, BMP and TIFF."""

from __future__ import annotations

import contextlib
import logging
import re
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from memtk import UserError
from memtk.data.readers import check_scans, check_size
from memtk.imaging.geometry import CHANNELS, gray_if_alike, without_alpha, without_padding
from memtk.interfaces import Record, Volume
from memtk_files.pixel_size import tiff_spacing
from memtk_files.png import check_png, plain_png

# It quotes headers, patients' names too; what matters of it is a sentence of memtk's.
warnings.filterwarnings("ignore", module=r"tifffile(\.|$)")
logging.getLogger("tifffile").addHandler(logging.NullHandler())

ORIENTATION = 274
"""The tag of EXIF and TIFF that says how a picture is to be turned before it is shown."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""What it says where rows become columns."""

NODATA = 42113
"""The tag of GDAL for the number that stands where nothing was measured, as text."""

COLOUR_MODES = {
    "P": "RGBA",
    "PA": "RGBA",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
"""What PIL's other modes are turned into."""


KNOWN = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "SEPARATED", "YCBCR")
"""What TIFF's photometric interpretation may be."""

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What a TIFF begins with."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000", "PPM")
"""What PIL may find in a file, whatever its name: others run programs, or hold several sizes."""

FRAMES = dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC9, 0xCA), "") | dict.fromkeys(
    (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF), "without loss, or in a hierarchy"
)
"""How the numbers of a JPEG are coded, by the marker of its frame; "" where PIL decodes them."""

WIDE = re.compile(r";16[BLN]")
"""In PIL's word for how the channels of a picture are stored: it reads 8 of these 16 bits."""


class PictureReader:
    """Reads pictures of 8 or 16 bit (TIFF: any real numbers), as viewers show them.

    Gray pictures are (1, H, W). Colour pictures are (3, H, W), or (1, H, W) where the three
    channels are the same. Palettes, CMYK, pictures that are stored as negatives (TIFF's MinIsWhite)
    and the tag that says how a picture is turned (EXIF) are applied. An opaque alpha channel is
    left out; a transparent one is an error. GDAL's padding is the least of the other voxels. A
    TIFF of five pages or more of one size is the volume (1, D, H, W), one slice a page; fewer must
    be said to be slices. The spacing of a TIFF is what OME, ImageJ or tifffile say in its header
    with a unit of length; else it is 1, because what these formats say about it is about print.
    """

    suffixes = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff")

    def records(self, path: Path) -> Sequence[Record]:
        """Return the one image of a file."""
        return [Record(path)]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file is animated or in part transparent, its voxels are no real
                numbers, or its header claims more than it holds.
        """
        path = record.path
        if _is_tiff(path):
            pixels, volume, spacing = _tiff(path)
        else:
            pixels, volume, spacing = _picture(path), False, (1.0, 1.0, 1.0)
        if pixels.dtype.kind not in "biuf":
            raise UserError(f"cannot read {path}: its pixels are {pixels.dtype}")
        pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
        if volume:
            return Volume(pixels[None], spacing)  # (1, D, H, W)
        if pixels.ndim == 2:
            return Volume(pixels[None], spacing[1:])
        channels = without_alpha(np.moveaxis(pixels, 2, 0), f"cannot read {path}")  # (C, H, W)
        if len(channels) not in (1, 3):
            raise UserError(
                f"cannot read {path}: {len(channels)} channels are neither gray nor colours: save "
                "one file a channel"
            )
        return Volume(gray_if_alike(channels), spacing[1:])


def _picture(path: Path) -> np.ndarray:
    """Return (H, W) or (H, W, 2|3|4)."""
    if (plain := plain_png(path)) is not None:
        return plain
    _check_jpeg(path)
    with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as file:
        warnings.simplefilter("ignore")  # about sizes, which are checked here
        frames = getattr(file, "n_frames", 1)
        if frames > 1 and (file.format != "MPO" or _holds_another(path, frames)):
            raise UserError(
                f"cannot read {path}: {frames} pictures in a file are no still picture: save one "
                "file a picture"
            )
        if _bytes(file.mode) == 1 and any(WIDE.search(str(tile[3])) for tile in file.tile):
            raise UserError(
                f"cannot read {path}: 16 bit in several channels, of which 8 would be lost: save "
                "it as gray PNG or as TIFF"
            )
        check_size(path, (file.height, file.width, len(file.getbands())), _bytes(file.mode))
        if file.format == "PNG":
            check_png(path, file)
        ImageOps.exif_transpose(file, in_place=True)
        shown: Any = file
        mode = COLOUR_MODES.get(shown.mode, shown.mode)
        if "transparency" in shown.info:
            if mode not in ("1", "L", "RGB", "RGBA"):
                raise UserError(f"cannot read {path}: a part of it is transparent.")
            mode = "RGBA"
        shown = shown.convert(mode) if mode != shown.mode else shown
        pixels = np.asarray(shown)
    return pixels


def _holds_another(path: Path, frames: int) -> bool:
    """Tell whether one of the JPEGs behind the first (MPO) is no preview, which is smaller."""
    with Image.open(path, formats=FORMATS) as file:
        width, height = file.size
        for number in range(1, frames):
            with contextlib.suppress(ValueError, SyntaxError, OSError):  # it was left out
                file.seek(number)
                if file.width >= width or file.height >= height:
                    return True
    return False


PAGES = 10_000
"""So many pages of a TIFF are looked at."""

LEVELS = 100
"""Of more pages that each say their own shape tifffile compares each with each: they are series of
their own, or the levels of a pyramid, of which no file has so many."""


def _is_tiff(path: Path) -> bool:
    """Tell whether a file is a TIFF, by its content or its name."""
    with path.open("rb") as file:
        start = file.read(4)
    return start in TIFF or path.name.lower().endswith((".tif", ".tiff"))


def _check_jpeg(path: Path) -> None:
    """Refuse a JPEG that PIL has no decoder for, and calls damaged, or that takes for ever."""
    with path.open("rb") as file:
        found = file.read(2) == b"\xff\xd8"
        while found and len(head := file.read(4)) == 4 and head[1] != 0xDA:
            if head[1] in FRAMES:
                bits = file.read(1)[0]
                kind = f"of {bits} bit" if bits != 8 else FRAMES[head[1]]
                if kind:
                    raise UserError(
                        f"cannot read {path}: it needs a decoder that is not installed (JPEG "
                        f"{kind}): save it as PNG"
                    )
                check_scans(path, file)
                return
            file.seek(int.from_bytes(head[2:], "big") - 2, 1)


def _bytes(mode: str) -> int:
    return {"I": 4, "F": 4}.get(mode, 2 if mode.startswith("I;16") else 1)


def _tiff(path: Path) -> tuple[np.ndarray, bool, tuple[float, float, float]]:
    """Return (H, W[, C]) and False, or (D, H, W) and True; and the spacing of slices and pixels."""
    _check_pages(path)
    with tifffile.TiffFile(path, _multifile=False) as file:
        if file.is_mmstack or file.is_ndtiff or _names_others(file.ome_metadata or "", path):
            raise UserError(
                f"cannot read {path}: its header says that a part of its picture lies in other "
                "files: save one file a picture"
            )
        pages = list(file.pages)
        differ = _differences([page for page in pages if not getattr(page, "is_reduced", True)])
        apart = sum(bool(getattr(page, "is_shaped", False)) for page in pages)
        if differ or apart > LEVELS or len(file.series) != 1:
            raise UserError(
                f"cannot read {path}: its pages differ{differ and f' in {differ}'}, so they are no "
                "slices of one volume.\nSave one file a picture."
            )
        series, page = file.series[0], file.series[0].keyframe
        check_size(path, series.shape, page.dtype.itemsize if page.dtype else 1)
        held, said = series.size // max(1, page.size), (file.imagej_metadata or {}).get("images", 1)
        if isinstance(said, int) and said > held:
            raise UserError(
                f"cannot read {path}: ImageJ's header tells of {said} pictures, and {held} "
                f"{'is' if held == 1 else 'are'} there: it was cut off, or save it anew"
            )
        axes, kind, spacing = series.axes, int(page.photometric), tiff_spacing(file, path)
        turn = page.tags.get(ORIENTATION)
        turned = int(turn.value) if turn is not None else 1
        if turned in SIDEWAYS:
            spacing = spacing[0], spacing[2], spacing[1]
        if (colours := getattr(page.photometric, "name", str(kind))) not in KNOWN:
            raise UserError(
                f"cannot read {path}: its colours (photometric interpretation) are {colours}: save "
                "it in gray or as RGB"
            )
        if kind in (tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.YCBCR):
            return _picture(path), False, spacing  # PIL knows these colours
        try:
            pixels = series.asarray()
        except ValueError as error:  # a compression for which tifffile has no decoder
            if "imagecodecs" not in str(error) or series.axes not in ("YX", "YXS"):
                raise
            return _calibrated(_decoded_by_pil(path, page), file, path), False, spacing
        stored, pixels = pixels, _calibrated(_as_shown(pixels, page, path), file, path)
        if NODATA in page.tags:
            with contextlib.suppress(ValueError):  # it is text, and need not be a number
                value = float(str(page.tags[NODATA].value))
                pixels = without_padding(pixels, stored, value)
    if len(axes) == pixels.ndim:
        flat = [n for n, axis in enumerate(axes) if pixels.shape[n] == 1 and axis not in "YX"]
        pixels = pixels.squeeze(tuple(flat))
        axes = "".join(axis for n, axis in enumerate(axes) if n not in flat)
    if pixels.ndim == 3 and kind == tifffile.PHOTOMETRIC.PALETTE and axes == "YX":
        axes = "YXS"
    if pixels.ndim == 2 or (pixels.ndim == 3 and axes == "YXS"):
        return _turned(pixels, turned), False, spacing
    if axes == "SYX":  # planar colour
        return _turned(np.moveaxis(pixels, 0, -1), turned), False, spacing
    if pixels.ndim == 3 and axes.endswith("YX") and axes[0] in "ZQI":
        if turned != 1:
            raise UserError(f"cannot read {path}: a turned stack (tag {ORIENTATION} = {turned})")
        if min(pixels.shape[0] if axes[0] != "Z" else CHANNELS + 1, *pixels.shape[1:]) <= CHANNELS:
            raise UserError(
                f"cannot read {path}: one of its axes, {' x '.join(map(str, pixels.shape))}, is as "
                "short as that of channels. Save colours as one picture, with photometric='rgb'; "
                "of few slices say that they are: tifffile.imwrite('a.tif', slices, imagej=True, "
                "metadata={'axes': 'ZYX'})"
            )
        return pixels, True, spacing
    size = " x ".join(map(str, pixels.shape))
    raise UserError(
        f"cannot read {path}: its axes {axes} of {size} are neither a picture nor a stack of gray "
        "slices: save one file a picture"
    )


def _differences(pages: Sequence[Any]) -> str:
    """Say in what the pages of a TIFF differ that makes them no volume, "" if in nothing."""
    kinds = {
        "size": lambda page: page.shape[:2],
        "the number of channels": lambda page: page.samplesperpixel,
        "the kind of their numbers": lambda page: (page.dtype, page.bitspersample),
        "what zero means (photometric interpretation)": lambda page: int(page.photometric),
        "how they are compressed": lambda page: page.compression,
        f"how they are turned (tag {ORIENTATION})": lambda page: getattr(
            page.tags.get(ORIENTATION), "value", 1
        ),
    }
    return " and ".join(
        what for what, kind in kinds.items() if len({str(kind(page)) for page in pages}) > 1
    )


def _names_others(ome: str, path: Path) -> bool:
    """Tell whether an OME header takes planes from other files, which tifffile would open."""
    own = re.search(r"<(?:\w+:)?OME\b[^>]*?\bUUID\s*=\s*[\"']([^\"']*)", ome)
    parts = re.findall(r"<(?:\w+:)?UUID\b([^>]*)>([^<]*)<", ome)
    if own:
        return any(identity.strip() != own[1].strip() for _, identity in parts)
    names = {name for attributes, _ in parts for name in re.findall(r"[\"']([^\"']*)", attributes)}
    return bool(parts) and (len({each for _, each in parts}) > 1 or path.name not in names)


def _check_pages(path: Path) -> None:
    """Refuse a file whose pages lie over one another, or in a circle: tifffile would follow it."""
    size, most, pages = 0, path.stat().st_size, 0
    with path.open("rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in (b"+\0", b"\0+")
        entry, count, place = (20, "Q", "Q") if big else (12, "H", "I")
        at = start[8:16] if big else start[4:8]
        while len(at) == struct.calcsize(place) and any(at):
            (offset,) = struct.unpack(order + place, at)
            try:
                file.seek(offset)
                (tags,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
                size += tags * entry + struct.calcsize(count) + struct.calcsize(place)
                pages += 1
                if size > most:
                    raise UserError(f"cannot read {path}: its pages lie over one another")
                if pages > PAGES:
                    raise UserError(
                        f"cannot read {path}: its pages are more than memtk takes ({PAGES:,}): "
                        "save one file a picture, or a volume as NIfTI"
                    )
                file.seek(tags * entry, 1)
            except (struct.error, OverflowError, OSError):
                return  # no page: tifffile says so
            at = file.read(struct.calcsize(place))


def _decoded_by_pil(path: Path, page: Any) -> np.ndarray:
    """Read a gray or coloured page by PIL, which brings some decoders of its own."""
    with contextlib.suppress(UnidentifiedImageError):
        if int(page.bitspersample) in (1, 8, 16) and page.compression.name != "WEBP":
            pixels = _picture(path)
            return _as_shown(pixels, page, path) if page.bitspersample == 16 else pixels
    raise UserError(
        f"cannot read {path}: it needs a decoder that is not installed "
        f"({page.compression.name}): pip install imagecodecs"
    )


def _as_shown(pixels: np.ndarray, page: Any, path: Path) -> np.ndarray:
    """Apply the photometric interpretation of a TIFF: negatives and palettes."""
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        if pixels.dtype == bool:
            return ~pixels
        if pixels.dtype.kind != "u":
            raise UserError(f"cannot read {path}: a negative (MinIsWhite) of {pixels.dtype}")
        most = 2 ** int(page.bitspersample) - 1
        return (most - pixels).astype(pixels.dtype)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        if page.colormap is None or pixels.ndim != 2:
            raise UserError(f"cannot read {path}: its palette cannot be applied")
        return np.moveaxis(page.colormap[:, pixels], 0, -1)  # (H, W, 3), 16 bit
    return pixels


def _calibrated(pixels: np.ndarray, file: tifffile.TiffFile, path: Path) -> np.ndarray:
    """Apply ImageJ's calibration, which is how it keeps negative numbers: c0 + c1 * pixels."""
    said = file.imagej_metadata or {}
    if "cf" not in said or said["cf"] == 0 and (said.get("c0", 0), said.get("c1", 1)) == (0, 1):
        return pixels
    line: list[Any] = [said.get("c0"), said.get("c1")]
    if said["cf"] != 0 or not all(isinstance(each, int | float) for each in line):
        raise UserError(
            f"cannot read {path}: ImageJ's calibration (cf={str(said['cf'])[:9]}) says that its "
            "pixels mean something else than a line through them: save it without"
        )
    return (pixels * float(line[1]) + float(line[0])).astype(np.float32)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W[, C]) as the tag says: 1 as it is, 3 by 180 degrees, 6 clockwise, ..."""
    if orientation in SIDEWAYS:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
