"""The voxels of one DICOM file, in the units of the modality."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, get_decoder, pixel_array
from pydicom.uid import UID, JPEGTransferSyntaxes, RLELossless

from memtk import UserError
from memtk.data.readers import check_scans, check_size, reading
from memtk.errors import many
from memtk_files.dicom_file import PIXELS, image_types, number_of, shown, text_of

COLOURS = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), 3),
}
"""What numbers may mean (PhotometricInterpretation), and how many a pixel then has."""

CODED = ("YBR_ICT", "YBR_RCT")
"""Of these the ones that only JPEG 2000 turns into RGB."""


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
        if dataset.file_meta.TransferSyntaxUID in JPEGTransferSyntaxes:
            check_scans(path, io.BytesIO(dataset.PixelData))
        _check_bits(dataset, path)
        kind = dataset.PhotometricInterpretation = _kind_of(dataset, path)
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
            f"cannot read {path}: its PhotometricInterpretation is {said} with "
            f"{many(samples, 'value')} a pixel, which says nothing that is known. Write it "
            "anew as MONOCHROME2 or RGB"
        )
    said = text_of(dataset, "PixelPresentation").upper()
    if said in ("COLOR", "MIXED") and samples == 1:
        raise UserError(
            f"cannot read {path}: its PixelPresentation is {said}: some of its gray values are "
            "numbers of colours. Save it as RGB"
        )
    if "MOSAIC" in image_types(dataset) or _is_mosaic(dataset):
        raise UserError(
            f"cannot read {path}: it is a mosaic, the slices of a volume side by side in one "
            "picture. Convert it to NIfTI, e.g. by dcm2niix"
        )
    return kind


def _is_mosaic(dataset: pydicom.Dataset) -> bool:
    """Tell whether Siemens' own attribute says how many slices are in the picture."""
    with suppress(KeyError):
        return bool(dataset.get_private_item(0x19, 0x0A, "SIEMENS MR HEADER").value)
    return False


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
    allocated = int(dataset.get("BitsAllocated") or 8)
    if decoded or allocated % 8 or not stored or dataset.get("PixelRepresentation") != 0:
        return
    order = "<" if syntax.is_little_endian else ">"
    if not syntax.is_encapsulated and _go_on(
        np.frombuffer(dataset.PixelData, f"{order}u{allocated // 8}"), int(stored)
    ):
        raise UserError(
            f"cannot read {path}: its voxels go on in the bits above the {int(stored)} that its "
            f"header says (BitsStored). Write it anew with BitsStored {allocated}"
        )


def _go_on(values: np.ndarray, bits: int) -> bool:
    """Tell whether numbers have more bits than are said, and not an overlay above these.

    Where a number passes 2^bits the bits below fall to 0, and the whole goes on; where an overlay
    begins the whole jumps, and the bits below go on.

    >>> _go_on(np.arange(2000), 10), _go_on(np.arange(1000) + (np.arange(1000) // 9% 2 << 10), 10)
    (True, False)
    """
    if not values.size or not int(values.max()) >> bits:
        return False
    whole, below = (np.abs(np.diff(v.astype(np.int64))) for v in (values, values & (1 << bits) - 1))
    half = 1 << (bits - 1)
    falls, jumps = (whole < half) & (below >= half), (whole >= half) & (below < half)
    return bool(np.count_nonzero(falls) > np.count_nonzero(jumps))


def _whole_rescale(dataset: pydicom.Dataset, path: Path) -> None:
    """Fill in what is left out of slope and intercept, either of which pydicom ignores alone.

    Raises:
        UserError: if one of them is not one number, or the slope is 0.
    """
    keys = {"RescaleSlope": 1, "RescaleIntercept": 0}
    for key in (*keys, "ModalityLUTSequence"):
        if key in dataset and dataset.get(key) in (None, "", []):
            del dataset[key]
    there = [key for key in keys if key in dataset]
    for key in there:
        if isinstance(dataset.get(key), MultiValue):
            raise UserError(f"cannot read {path}: its {key} has several values: write one")
        if number_of(dataset, key, path) == 0 and keys[key]:
            raise UserError(f"cannot read {path}: its {key} is 0, which leaves one value: write 1")
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
