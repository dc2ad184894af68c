"""What stands in one DICOM file: its attributes, and its voxels in the units of the modality."""

from __future__ import annotations

import logging
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pydicom
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, get_decoder, pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from memtk import UserError
from memtk.data.readers import FLOOR, GROWTH, check_size, reading

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


MOST = 100_000
"""A file may have so many attributes beside those in its sequences."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
"""Where voxels stand."""

VOXELS = frozenset(int(Tag(keyword)) for keyword in PIXELS)
"""The same, as numbers."""

COLOURS = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), 3),
}
"""What numbers may mean (PhotometricInterpretation), and how many a pixel then has."""

CODED = ("YBR_ICT", "YBR_RCT")
"""Of these the ones that only JPEG 2000 turns into RGB."""


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


@dataclass(frozen=True)
class Pixels:
    """The voxels of one file.

    Args:
        values: (H, W) or (H, W, 3), in the units of the modality.
        padding: (H, W), where there is none of the patient; None where no value is padding.
        inverted: whether bright means little.
    """

    values: np.ndarray
    padding: np.ndarray | None
    inverted: bool


def pixels_of(dataset: pydicom.Dataset, path: Path) -> Pixels:
    """Return the voxels of one file: decoded, with palette, modality LUT and rescale applied.

    Raises:
        UserError: if it has none, or several frames, or claims more than it holds, or other
            colours than it can have.
    """
    with reading(path):
        if not any(dataset.get(key) for key in PIXELS):
            modality = shown(text_of(dataset, "Modality") or "unknown", "A-Za-z")
            raise UserError(f"cannot read {path}: it has no pixels (modality {modality})")
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            raise UserError(
                f"cannot read {path}: a file with several frames. Convert it to NIfTI first, or "
                "save the frames that are pictures as PNG"
            )
        _check_syntax(dataset, path)
        _check_bits(dataset, path)
        kind = _kind_of(dataset, path)
        shape = [int(dataset.get(key) or 1) for key in ("Rows", "Columns", "SamplesPerPixel")]
        check_size(path, shape, -(-int(dataset.get("BitsAllocated") or 8) // 8))
        stored = pixel_array(dataset)
        if list(stored.shape) != shape[: stored.ndim] or stored.ndim != 2 + (shape[2] > 1):
            size = " x ".join(map(str, stored.shape))
            raise UserError(
                f"cannot read {path}: it holds {size} values, and its header says one frame of "
                f"{shape[0]} x {shape[1]}. Convert it to NIfTI, or save one frame a file"
            )
        bits = int(dataset.get("BitsStored") or 64)  # of compressed voxels the decoder leaves all
        if stored.dtype.kind == "u" and int(stored.max()) >> bits:
            raise UserError(
                f"cannot read {path}: its voxels have more than the {bits} bits that its header "
                "says (BitsStored): what lies above may be an overlay. Write it anew without it"
            )
        if kind == "MONOCHROME2" and text_of(dataset, "PresentationLUTShape").upper() == "INVERSE":
            raise UserError(
                f"cannot read {path}: it is MONOCHROME2, and its PresentationLUTShape INVERSE says "
                "that it is a negative. Write it anew with the one that is true"
            )
        if kind == "PALETTE COLOR":
            colours = apply_color_lut(stored, dataset)
            return Pixels(colours[..., :3], None, False)
        _whole_rescale(dataset, path)
        _whole_lut(dataset)
        values = apply_modality_lut(stored, dataset) if stored.ndim == 2 else stored
        values = values.astype(np.float32) if values.dtype == np.float64 else values
        padding = _padding(dataset, stored) if stored.ndim == 2 else None
        return Pixels(values, padding, kind == "MONOCHROME1")


def _kind_of(dataset: pydicom.Dataset, path: Path) -> str:
    """Return what the numbers mean, which is the header's photometric interpretation.

    Raises:
        UserError: if nobody knows it, it needs another number of values a pixel, or the picture is
            a mosaic of slices.
    """
    kind = text_of(dataset, "PhotometricInterpretation").upper()
    samples = int(dataset.get("SamplesPerPixel") or 1)
    coded = kind not in CODED or "JPEG 2000" in dataset.file_meta.TransferSyntaxUID.name.upper()
    if COLOURS.get(kind) != samples or not coded:
        said = shown(kind or "nothing", r"\w ")
        raise UserError(
            f"cannot read {path}: its PhotometricInterpretation is {said} with {samples} value(s) "
            "a pixel, which says nothing that is known. Write it anew as MONOCHROME2 or RGB"
        )
    said = text_of(dataset, "PixelPresentation").upper()
    if said in ("COLOR", "MIXED") and samples == 1:
        raise UserError(
            f"cannot read {path}: its PixelPresentation is {said}: some of its gray values are "
            "numbers of colours. Save it as RGB"
        )
    if "MOSAIC" in image_types(dataset):
        raise UserError(
            f"cannot read {path}: it is a mosaic, the slices of a volume side by side in one "
            "picture. Convert it to NIfTI, e.g. by dcm2niix"
        )
    return kind


def _check_syntax(dataset: pydicom.Dataset, path: Path) -> None:
    """Refuse voxels that are stored in a way for which there is no decoder, installed or not."""
    syntax = UID(text_of(dataset.file_meta, "TransferSyntaxUID"))
    try:
        get_decoder(syntax)
    except NotImplementedError as error:
        name = syntax.name if syntax.name != syntax else shown(syntax, "0-9.")
        raise UserError(
            f"cannot read {path}: it needs a decoder, and none is known ({name}): write it anew as "
            "Explicit VR Little Endian, e.g. by gdcmconv --raw, or save it as PNG"
        ) from error


def _check_bits(dataset: pydicom.Dataset, path: Path) -> None:
    """Refuse voxels that are not in the lowest bits: pydicom takes those, whatever they hold."""
    if "PixelData" not in dataset:
        return
    syntax = dataset.file_meta.TransferSyntaxUID
    stored, high = dataset.get("BitsStored"), dataset.get("HighBit")
    decoded = syntax.is_encapsulated and syntax != RLELossless
    if stored and high is not None and int(high) != int(stored) - 1 and not decoded:
        raise UserError(
            f"cannot read {path}: its HighBit is {int(high)} with {int(stored)} BitsStored, so its "
            f"voxels are not in the lowest bits. Write it anew with HighBit {int(stored) - 1}"
        )


def _whole_rescale(dataset: pydicom.Dataset, path: Path) -> None:
    """Fill in what is left out of slope and intercept, either of which pydicom ignores alone.

    Raises:
        UserError: if one of them is not one number.
    """
    keys = {"RescaleSlope": 1, "RescaleIntercept": 0}
    there = [key for key in keys if dataset.get(key) is not None]
    for key in there:
        if isinstance(dataset.get(key), MultiValue):
            raise UserError(f"cannot read {path}: its {key} has several values: write one")
        number_of(dataset, key, path)
    if len(there) == 1:
        (missing,) = keys.keys() - there
        setattr(dataset, missing, keys[missing])


def _whole_lut(dataset: pydicom.Dataset) -> None:
    """Write a modality LUT of other than 16 bit as pydicom takes it: two bytes an entry."""
    for item in list(dataset.get("ModalityLUTSequence") or ())[:1]:
        entries, first, bits = item.LUTDescriptor
        data = item.LUTData
        if isinstance(data, bytes) and len(data) < 2 * (entries or 65536):
            order = "<u2" if dataset.original_encoding[1] is not False else ">u2"
            item["LUTData"].value = np.frombuffer(data, np.uint8).astype(order).tobytes()
        if 8 < bits < 16:
            item.LUTDescriptor = [entries, first, 16]


def _padding(dataset: pydicom.Dataset, stored: np.ndarray) -> np.ndarray | None:
    if dataset.get("PixelPaddingValue") is None:
        return None
    ends = [int(dataset.PixelPaddingValue)]
    if dataset.get("PixelPaddingRangeLimit") is not None:
        ends.append(int(dataset.PixelPaddingRangeLimit))
    # written as unsigned it means the same bits: 63536 is -2000
    ends = np.array(ends).astype(stored.dtype).tolist()
    inside: np.ndarray = (stored >= min(ends)) & (stored <= max(ends))
    return inside if inside.any() and not inside.all() else None


def combined(path: Path, slices: Sequence[Pixels]) -> np.ndarray:
    """Stack slices (D, H, W[, 3]): one constant inverts all, padding becomes the least voxel."""
    if len({one.inverted for one in slices}) > 1:
        raise UserError(f"cannot read {path}: some of its slices are MONOCHROME1, others are not")
    if len({one.values.shape for one in slices}) > 1:
        raise UserError(f"cannot read {path}: its slices differ in size or some are in colour")
    stack = np.stack([one.values for one in slices])
    padding = np.zeros(stack.shape, dtype=bool)
    for row, one in enumerate(slices):
        if one.padding is not None:
            padding[row] = one.padding
    if not slices[0].inverted and not padding.any():
        return stack
    low, high = stack[~padding].min(), stack[~padding].max()
    if slices[0].inverted:
        stack = stack.astype(np.float32)
        stack = np.float32(high) + np.float32(low) - stack
    stack[padding] = low
    return stack


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
            f"cannot read {path}: its {keyword} is not {count} number(s): {shown(said)}"
        ) from error
    if len(values) != count or not np.isfinite(values).all():
        raise UserError(
            f"cannot read {path}: its {keyword} is {shown(said)}, not {count} number(s)"
        )
    return values


def pixel_spacing(dataset: pydicom.Dataset, path: Path) -> tuple[float, float]:
    """Return (between rows, between columns) in millimetres, 1 where unknown."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        spacing = numbers_of(dataset, keyword, 2, path)
        if spacing is not None:
            rows, columns = (abs(value) or 1.0 for value in spacing)
            return rows, columns
    return 1.0, 1.0
