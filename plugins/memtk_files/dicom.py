"""DICOM series and single images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, pixel_array

from memtk import UserError
from memtk.interfaces import Record, Volume
from memtk_files.reading import reading

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class DicomReader:
    """Reads a folder with one series as a volume, a single `.dcm` file as a 2D image.

    A series is (1, D, H, W): slices sorted by their position along the normal of the image plane
    (by instance number where no slice has a position), rows, columns. The affine is in RAS
    millimetres for this order. Modality LUT or rescale slope and intercept are applied, and
    MONOCHROME1 (bright means little) is inverted. File names do not matter, nor do suffixes.
    """

    suffixes = (".dcm", ".dicom", ".ima")
    folders = True

    def records(self, path: Path) -> Sequence[Record]:
        """Return the one image of a file or a folder; nothing for a folder without DICOM."""
        if path.is_dir() and not _files(path):
            return []
        return [Record(path)]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if a file is damaged, or the folder holds several series, slices of
                different sizes, two at one position, or a gap.
        """
        if not record.path.is_dir():
            dataset = _read(record.path)
            pixels = _pixels(dataset, record.path)  # (H, W) or (H, W, 3)
            voxels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)  # (C, H, W)
            return Volume(voxels, _pixel_spacing(dataset))
        files = _files(record.path)
        if not files:
            raise UserError(f"cannot read {record.path}: there are no DICOM files in it")
        slices = [(_read(file), file) for file in files]
        _check_one_series(record.path, [dataset for dataset, _ in slices])
        slices, step = _sorted(record.path, slices)
        stack = np.stack([_pixels(dataset, file) for dataset, file in slices])  # (D, H, W)
        if stack.ndim != 3:
            raise UserError(f"cannot read {record.path}: a series of colour images is no volume")
        first = slices[0][0]
        rows, columns = _pixel_spacing(first)
        if step is None:
            thickness = float(first.get("SliceThickness") or 1.0)
            return Volume(stack[None], (thickness, rows, columns))
        spacing = (float(np.linalg.norm(step)), rows, columns)
        return Volume(stack[None], spacing, _affine(first, step))  # (1, D, H, W)


def _files(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder: by suffix, or by the magic word after the preamble."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.upper() == "DICOMDIR" or not path.is_file():
            continue
        if path.name.lower().endswith(DicomReader.suffixes) or _has_magic(path):
            found.append(path)
    return found


def _has_magic(path: Path) -> bool:
    with reading(path, kind="DICOM file"), path.open("rb") as handle:
        handle.seek(128)
        return handle.read(4) == b"DICM"


def _read(path: Path) -> pydicom.Dataset:
    with reading(path, kind="DICOM file"):
        return pydicom.dcmread(path)


def _pixels(dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    """Return (H, W) or (H, W, 3), in the units of the modality."""
    with reading(path, kind="DICOM file"):
        if "PixelData" not in dataset:
            raise UserError(f"cannot read {path}: it has no pixels (modality {_say(dataset)})")
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            raise UserError(
                f"cannot read {path}: a file with several frames. Convert it to NIfTI first."
            )
        pixels = pixel_array(dataset)
        if pixels.ndim == 2:
            pixels = apply_modality_lut(pixels, dataset)
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            pixels = pixels.astype(np.float32)
            pixels = pixels.max() + pixels.min() - pixels
    return pixels.astype(np.float32) if pixels.dtype == np.float64 else pixels


def _say(dataset: pydicom.Dataset) -> str:
    return str(dataset.get("Modality") or "unknown")


def _pixel_spacing(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Return (between rows, between columns) in millimetres, 1 where unknown."""
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing") or (1.0, 1.0)
    rows, columns = (abs(float(value)) or 1.0 for value in spacing)
    return rows, columns


def _check_one_series(folder: Path, slices: Sequence[pydicom.Dataset]) -> None:
    series = sorted({str(dataset.get("SeriesInstanceUID")) for dataset in slices})
    if len(series) > 1:
        raise UserError(
            f"cannot read {folder}: its {len(slices)} files belong to {len(series)} series.\n"
            "Sort them into one folder a series, or name single files in a manifest."
        )
    sizes = sorted({(int(d.get("Rows") or 0), int(d.get("Columns") or 0)) for d in slices})
    if len(sizes) > 1:
        said = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise UserError(f"cannot read {folder}: its slices have different sizes ({said})")


def _sorted(
    folder: Path, slices: list[tuple[pydicom.Dataset, Path]]
) -> tuple[list[tuple[pydicom.Dataset, Path]], np.ndarray | None]:
    """Sort slices along the normal; return them and the step (3,) between two, in LPS."""
    placed = [d.get("ImagePositionPatient") and d.get("ImageOrientationPatient") for d, _ in slices]
    if not any(placed):
        numbers = [d.get("InstanceNumber") for d, _ in slices]
        if None in numbers or len(set(numbers)) < len(numbers):
            raise UserError(
                f"cannot read {folder}: its slices have neither positions nor distinct numbers"
            )
        return sorted(slices, key=lambda pair: int(pair[0].InstanceNumber)), None
    if not all(placed):
        count = sum(not one for one in placed)
        raise UserError(
            f"cannot read {folder}: {count} of its {len(slices)} slices have no position"
        )
    planes = np.array([[float(v) for v in d.ImageOrientationPatient] for d, _ in slices])
    if np.abs(planes - planes[0]).max() > 1e-3:
        raise UserError(f"cannot read {folder}: its slices are not parallel")
    normal = np.cross(planes[0, :3], planes[0, 3:])
    points = np.array([[float(v) for v in d.ImagePositionPatient] for d, _ in slices])
    order = np.argsort(points @ normal, kind="stable")
    if len(slices) == 1:
        thickness = float(slices[0][0].get("SliceThickness") or 1.0)
        return slices, normal * thickness
    gaps = np.diff((points @ normal)[order])  # mm
    if gaps.min() < 1e-3:
        raise UserError(
            f"cannot read {folder}: two of its slices lie at one position (several time points?)"
        )
    if gaps.max() - gaps.min() > 0.05 * np.median(gaps):
        raise UserError(
            f"cannot read {folder}: its slices lie {gaps.min():.3g} to {gaps.max():.3g} mm apart; "
            "one is missing, or the spacing is uneven"
        )
    step = (points[order[-1]] - points[order[0]]) / (len(slices) - 1)
    return [slices[i] for i in order], step


def _affine(first: pydicom.Dataset, step: np.ndarray) -> np.ndarray:
    """Return the (4, 4) matrix from (slice, row, column) to RAS millimetres.

    Equation C.7.6.2.1-1 of DICOM part 3, with the slice as first axis.
    """
    plane = np.array([float(v) for v in first.ImageOrientationPatient])
    rows, columns = _pixel_spacing(first)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = plane[3:] * rows  # the second cosine points along a column, down the rows
    affine[:3, 2] = plane[:3] * columns
    affine[:3, 3] = [float(v) for v in first.ImagePositionPatient]
    return _LPS_TO_RAS @ affine
