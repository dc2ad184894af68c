"""What stands in one DICOM file: its attributes."""

from __future__ import annotations

import logging
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pydicom
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from memtk import UserError
from memtk.data.readers import FLOOR, GROWTH, reading
from memtk.errors import many

# It quotes headers, patients' names too; what matters of it is a sentence of memtk's.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").addHandler(logging.NullHandler())

GROUPED = frozenset(
    {
        *("PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient"),
        *("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue"),
    }
)
"""What is taken out of functional groups."""


TISSUE, CENTIMETRES = 1, 3
"""What RegionSpatialFormat and PhysicalUnits of ultrasound are where a region is a picture."""

MOST = 100_000
"""A file may have so many attributes beside those in its sequences."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
"""Where voxels stand."""

VOXELS = frozenset(int(Tag(keyword)) for keyword in PIXELS)
"""The same, as numbers."""


def begins_with_element(start: bytes) -> bool:
    """Tell whether bytes begin as a data set without preamble does: with group 0002 or 0008."""
    if len(start) < 16 or start[1] or start[0] not in (2, 8) or start[3]:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < 1024


def read_file(path: Path) -> pydicom.Dataset:
    """Read a file with its voxels, still encoded."""
    with reading(path):
        dataset = open_file(path)
        take_functional_groups(dataset)
        return dataset


def open_file(
    path: Path, *, before_pixels: bool = False, tags: Sequence[str] | None = None
) -> pydicom.Dataset:
    """Read a file, with preamble or without.

    Args:
        before_pixels: whether to stop where the voxels begin.
        tags: what is read; None: all.

    Raises:
        UserError: if it would grow beyond all measure, has too many attributes, or does not say how
            its voxels are stored.
    """
    with path.open("rb") as file:
        start = file.read(144)
        plain = start[128:132] != b"DICM" and begins_with_element(start)
        _check_deflated(path, file, start)
        file.seek(0)
        wanted: list[BaseTag | int] | None = None if tags is None else [Tag(tag) for tag in tags]
        ends = _end(path, before_pixels)
        dataset = read_partial(file, ends, force=plain, specific_tags=wanted)
    if plain and "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        if not little:
            raise UserError(f"cannot read {path}: it does not say how its voxels are stored")
        syntax = pydicom.uid.ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _end(path: Path, before_pixels: bool) -> Callable[[BaseTag, str | None, int], bool]:
    """Return what tells where a file is to be read no further: zeros may follow without an end."""
    count = 0

    def ends(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal count
        count += 1
        if count > MOST:
            raise UserError(f"cannot read {path}: it has more than {MOST:,} attributes")
        return int(tag) == 0 or (before_pixels and int(tag) in VOXELS)

    return ends


def _check_deflated(path: Path, file: IO[bytes], start: bytes) -> None:
    """Refuse a deflated file that would grow beyond all measure: pydicom inflates all of it."""
    if start[128:132] != b"DICM":
        return
    end = 144 + int.from_bytes(start[140:144], "little")  # of the group 0002, whose length is told
    if str(DeflatedExplicitVRLittleEndian).encode() not in start + file.read(min(end, 1 << 16)):
        return
    file.seek(end)
    inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    most = max(FLOOR, GROWTH * path.stat().st_size)
    while block := file.read(1 << 16):
        size += len(inflate.decompress(block))
        if size > most:
            raise UserError(f"cannot read {path}: it would grow to more than {most:,} bytes")


def take_functional_groups(dataset: pydicom.Dataset) -> None:
    """Lay what stands in the functional groups of a file of one frame where other files have it."""
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        return
    for key in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(dataset.get(key) or ())[:1]:
            for element in group:
                items = element.value if element.VR == "SQ" else ()
                for item in list(items)[:1]:
                    for inner in item:
                        if inner.keyword in GROUPED:
                            dataset[inner.tag] = inner


def shown(value: object, letters: str = "") -> str:
    """Return what a header says in the place of numbers, or of one word of some letters.

    Anything else may be a part of the header that names the patient, and is shown as "text".
    """
    text = str(value).strip()
    allowed = letters or r"\d.,+eE\-\[\]'\" \\/"
    return text if re.fullmatch(f"[{allowed}]{{1,60}}", text) else "text"


def image_types(dataset: pydicom.Dataset) -> list[str]:
    """Return what a file says of the kind of its image (ImageType), in capitals."""
    said = dataset.get("ImageType") or ()
    return [str(each).upper() for each in ([said] if isinstance(said, str) else said)]


def text_of(dataset: pydicom.Dataset, keyword: str) -> str:
    """Return an attribute as text, "" where it is missing."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def number_of(dataset: pydicom.Dataset, keyword: str, path: Path) -> float | None:
    """Return the one number of an attribute, None where it is missing; see `numbers_of`."""
    values = numbers_of(dataset, keyword, 1, path)
    return values[0] if values else None


def numbers_of(
    dataset: pydicom.Dataset, keyword: str, count: int, path: Path
) -> tuple[float, ...] | None:
    """Return the numbers of an attribute, None where it is missing or empty.

    Raises:
        UserError: if they are not as many finite numbers, naming the file and the attribute.
    """
    said = None
    try:
        said = dataset.get(keyword)
        if said is None or said == "":
            return None
        values = tuple(float(v) for v in ((said,) if count == 1 else said))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"cannot read {path}: its {keyword} is not {many(count, 'number')}: {shown(said)}"
        ) from error
    if len(values) != count or not np.isfinite(values).all():
        raise UserError(
            f"cannot read {path}: its {keyword} is {shown(said)}, not {many(count, 'number')}"
        )
    return values


def pixel_spacing(dataset: pydicom.Dataset, path: Path) -> tuple[float, float]:
    """Return (between rows, between columns) in millimetres, 1 where unknown.

    Raises:
        UserError: if the regions of an ultrasound picture say several sizes, or another than it.
    """
    regions = _sizes_of_regions(dataset, path)
    film = "NominalScannedPixelSpacing"
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", film, "PixelAspectRatio"):
        spacing = numbers_of(dataset, keyword, 2, path)
        if spacing is not None and not (regions and keyword == "PixelAspectRatio"):
            rows, columns = (abs(value) or 1.0 for value in spacing)
            regions.insert(0, (rows, columns))
            break
    if regions and not np.allclose(regions, regions[0], rtol=0.01):
        sizes = " and ".join(f"{rows:.3g} x {columns:.3g}" for rows, columns in regions[:3])
        raise UserError(
            f"cannot read {path}: its header says that its pixels are {sizes} mm large: save each "
            "of its regions as a picture of its own, or correct its header"
        )
    return regions[0] if regions else (1.0, 1.0)


def _sizes_of_regions(dataset: pydicom.Dataset, path: Path) -> list[tuple[float, float]]:
    """Return the pixel sizes of the two-dimensional regions of an ultrasound picture, in mm."""
    found = []
    for region in dataset.get("SequenceOfUltrasoundRegions") or ():
        axes = [f"Physical{{}}{axis}" for axis in "YX"]
        units = [number_of(region, f"{a.format('Units')}Direction", path) for a in axes]
        sizes = [number_of(region, a.format("Delta"), path) for a in axes]
        flat = number_of(region, "RegionSpatialFormat", path) == TISSUE
        if flat and units == [CENTIMETRES] * 2 and all(sizes):
            found.append((abs(sizes[0] or 0) * 10, abs(sizes[1] or 0) * 10))
    return found
