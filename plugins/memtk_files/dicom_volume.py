"""Slices of one DICOM series put into the order of a volume, or refused with the way out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pydicom

from memtk import UserError
from memtk.data.manifest import few
from memtk.errors import some
from memtk_files.dicom_file import image_types, numbers_of, pixel_spacing, text_of

AWAY = 0.1
"""A slice may lie so far from its place among even steps, in steps: positions are rounded."""

ONE_VOLUME = (
    *("Modality", "SOPClassUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "StudyDate"),
    *("FrameOfReferenceUID", "PatientPosition", "Units", "RescaleType", "KVP", "ConvolutionKernel"),
    *("EchoTime", "InversionTime", "FlipAngle", "DiffusionBValue"),
)
"""What slices of one volume have in common, where they say it."""

CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "MG",
    "1.2.840.10008.5.1.4.1.1.1.3": "IO",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "IO",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}
"""SOP classes that say the modality where the file leaves it out, or says another."""

SIGNALS = frozenset(
    {
        *("M", "P", "R", "I", "MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "IN", "OUT", "OPP"),
        *("WATER", "FAT", "W", "F", "IP", "OP", "ADC", "FA", "B0"),
    }
)
"""Parts of the signal of MR, each a volume of its own, in the words of several makers."""

Slices = Sequence[tuple[pydicom.Dataset, Path]]
"""The files of a series that was read, each with its path."""


def check_alike(folder: Path, slices: Slices) -> None:
    """Refuse slices that differ in size, in colours or in what one volume has in common."""
    sizes = sorted({(int(d.get("Rows") or 0), int(d.get("Columns") or 0)) for d, _ in slices})
    if len(sizes) > 1:
        said = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise UserError(f"cannot read {folder}: its slices have different sizes ({said})")
    spacings = {pixel_spacing(dataset, path) for dataset, path in slices}
    if np.ptp(np.array([*spacings]), axis=0).max() > 1e-3:
        said = ", ".join(f"{rows:g} x {columns:g} mm" for rows, columns in sorted(spacings))
        raise UserError(f"cannot read {folder}: its slices have pixels of different sizes ({said})")
    if several := differences([dataset for dataset, _ in slices]):
        raise UserError(
            f"cannot read {folder}: its slices differ in {' and '.join(several)}, so they are of "
            "several volumes: sort them into a folder each"
        )
    for dataset, path in slices:
        if int(dataset.get("SamplesPerPixel") or 1) > 1:
            raise UserError(
                f"cannot read {folder}: a slice of the series is in colour, {path.name}; a series "
                "of colour images is no volume"
            )


def sort_slices(
    folder: Path, slices: Slices
) -> tuple[list[tuple[pydicom.Dataset, Path]], np.ndarray | None]:
    """Sort slices along the normal; return them and the step (3,) between two, in LPS.

    Raises:
        UserError: if they are not parallel, two lie at one position, one is missing, or those of
            several acquisitions lie between one another.
    """
    points = [numbers_of(d, "ImagePositionPatient", 3, path) for d, path in slices]
    planes = [numbers_of(d, "ImageOrientationPatient", 6, path) for d, path in slices]
    placed = [a is not None and b is not None for a, b in zip(points, planes, strict=True)]
    if not any(placed):
        return sorted(slices, key=lambda pair: int(pair[0].InstanceNumber)), None
    if not all(placed):
        count = sum(not one for one in placed)
        raise UserError(
            f"cannot read {folder}: {some(count, len(slices), 'slice', 'has/have')} no position"
        )
    cosines, places = np.array(planes), np.array(points)  # (N, 6), (N, 3)
    if np.abs(cosines - cosines[0]).max() > 1e-3:
        odd = int(np.abs(cosines - np.median(cosines, axis=0)).max(axis=1).argmax())
        raise UserError(
            f"cannot read {folder}: its slices are not parallel, {slices[odd][1].name} to the "
            "others (a localizer, or turned about an axis?). Take out what is no slice of the "
            "volume, or convert each stack to NIfTI"
        )
    axes = cosines[0].reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > 0.02:
        raise UserError(
            f"cannot read {folder}: its ImageOrientationPatient is not two directions at right "
            "angles. Convert it to NIfTI first"
        )
    normal = np.cross(cosines[0, :3], cosines[0, 3:])
    along = places @ normal
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])  # mm
    if gaps.min() < 1e-3:
        first = int(gaps.argmin())
        pair = [slices[order[at]] for at in (first, first + 1)]
        own = {text_of(dataset, "SOPInstanceUID") for dataset, _ in pair}
        why = (
            "are copies of one file: keep one of each"
            if len(own) == 1 and own != {""}
            else "lie at one position (several times, or measured twice?): sort the volumes into a "
            "folder each"
        )
        names = few([path.name for _, path in pair])
        raise UserError(f"cannot read {folder}: two of its slices, {names}, {why}")
    step = (places[order[-1]] - places[order[0]]) / (len(slices) - 1)
    line = places[order[0]] + np.outer(np.arange(len(slices)), step)
    away = float(np.linalg.norm(places[order] - line, axis=1).max())  # mm
    if away > AWAY * np.linalg.norm(step):
        raise UserError(
            f"cannot read {folder}: its slices lie {gaps.min():.3g} to {gaps.max():.3g} mm apart; "
            f"one is missing, or they are off a line of even steps (by {away:.3g} mm). Get the "
            "series again, or sort parts that overlap into a folder each"
        )
    ordered = [slices[i] for i in order]
    scans = [dataset for dataset, _ in ordered if modality_of(dataset) == "CT"]
    numbers = [number for d in scans if (number := text_of(d, "AcquisitionNumber"))]
    if len(list(groupby(numbers))) > len({*numbers}):
        raise UserError(
            f"cannot read {folder}: slices of {len({*numbers})} acquisitions of CT lie between one "
            "another (AcquisitionNumber), so they are several volumes: sort them into a folder each"
        )
    return ordered, step


def affine_of(first: pydicom.Dataset, path: Path, step: np.ndarray) -> np.ndarray:
    """Return the (4, 4) matrix from (slice, row, column) to RAS millimetres.

    Equation C.7.6.2.1-1 of DICOM part 3, with the slice as first axis.
    """
    plane = np.array(numbers_of(first, "ImageOrientationPatient", 6, path))
    rows, columns = pixel_spacing(first, path)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = plane[3:] * rows  # the second cosine points along a column, down the rows
    affine[:3, 2] = plane[:3] * columns
    affine[:3, 3] = numbers_of(first, "ImagePositionPatient", 3, path)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # from LPS


def modality_of(dataset: pydicom.Dataset) -> str:
    """Return by what a file says it was made: "CT", "MR", ...; "" where it does not."""
    said = text_of(dataset, "Modality").upper()
    return CLASSES.get(text_of(dataset, "SOPClassUID"), said)


def parts_of_signal(dataset: pydicom.Dataset) -> frozenset[str]:
    """Return which parts of the signal of MR a file says it holds: its magnitude, its phase, fat.

    >>> both = pydicom.Dataset()
    >>> both.ImageType = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "WATER"]
    >>> sorted(parts_of_signal(both))
    ['M', 'WATER']
    """
    return frozenset(each.partition("_")[0] for each in image_types(dataset)[2:]) & SIGNALS


def differences(slices: Sequence[pydicom.Dataset]) -> list[str]:
    """Return which attributes say that slices are of several volumes."""
    signals = {parts_of_signal(one) for one in slices} - {frozenset()}
    made = {word for one in slices for word in image_types(one)[:1]} & {"ORIGINAL", "DERIVED"}
    found = [k for k in ONE_VOLUME if len({text_of(one, k) for one in slices} - {""}) > 1]
    slopes = {(text_of(one, "RescaleSlope"), text_of(one, "RescaleIntercept")) for one in slices}
    some_without = ("", "") in slopes and slopes - {("", "")}
    if slopes == {("", "")} and len({_real_world(one) for one in slices}) > 1:
        found.append("RealWorldValueMappingSequence")  # slopes that no viewer applies to all
    found += ["whether they have RescaleSlope and RescaleIntercept"] if some_without else []
    return found + (["ImageType"] if len(signals) > 1 or len(made) > 1 else [])


def _real_world(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Return by which line the numbers of a slice become those of what was measured."""
    said = list(dataset.get("RealWorldValueMappingSequence") or ())[:1]
    keys = ("RealWorldValueSlope", "RealWorldValueIntercept")
    return tuple(text_of(item, key) for item in said for key in keys)
