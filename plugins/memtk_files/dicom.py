"""DICOM: the files of a folder sorted into volumes and pictures, single files as pictures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import UID

from memtk import UserError
from memtk.data.patients import from_header
from memtk.data.readers import reading
from memtk.imaging.geometry import gray_if_alike
from memtk.interfaces import Record, Volume
from memtk_files.dicom_beside import TAGS as EXPOSURE_TAGS
from memtk_files.dicom_beside import Beside, is_captured
from memtk_files.dicom_file import (
    begins_with_element,
    image_types,
    number_of,
    numbers_of,
    open_file,
    pixel_spacing,
    read_file,
    shown,
    take_functional_groups,
    text_of,
)
from memtk_files.dicom_parts import Part, SeriesParts, make_one_stack
from memtk_files.dicom_pixels import combined, pixels_of
from memtk_files.dicom_volume import affine_of, check_alike, modality_of, sort_slices

PICTURES = frozenset({"CR", "DX", "MG", "IO", "PX", "RG", "XC", "ES", "GM", "SM", "OP", "DG"})
"""Modalities of single pictures, whatever their series: radiographs, photographs."""

SLICES = frozenset({"CT", "MR", "PT", "NM"})
"""Modalities whose series is a volume where its files have numbers and no positions."""

LABELS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
DOSES = "1.2.840.10008.5.1.4.1.1.481."

SCREENS = re.compile(r"screen ?(save|shot|capture)|dose (report|info)|patient protocol", re.I)
"""What screens that a scanner saved are called by ImageType or SeriesDescription."""

TAGS = (
    *("SOPClassUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "ImageType"),
    *("SOPInstanceUID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber", "SliceThickness"),
    *("SeriesDescription", "Rows", "Columns", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *EXPOSURE_TAGS,
)
"""What is read of a file to know which image it belongs to."""


@dataclass(frozen=True)
class _Header:
    """What a file says of the image that it belongs to."""

    path: Path
    dataset: pydicom.Dataset
    series: tuple[str, ...]
    modality: str
    patient: str

    @property
    def size(self) -> tuple[int, int]:
        return int(self.dataset.get("Rows") or 0), int(self.dataset.get("Columns") or 0)

    @property
    def frames(self) -> int:
        return int(self.dataset.get("NumberOfFrames") or 1)

    @property
    def placed(self) -> bool:
        keys = ("ImagePositionPatient", "ImageOrientationPatient")
        return all(self.dataset.get(key) for key in keys)


class DicomReader:
    """Reads the series in a folder as volumes, everything else as pictures.

    The files of a folder are sorted by series. A series of slices at several positions along the
    normal of their plane is the volume (1, D, H, W): slices by position (by instance number where
    no slice has a position), rows, columns; its affine is in RAS millimetres for this order.
    Radiographs and photographs (by modality and SOP class), single slices, captured pictures
    (Secondary Capture without a position) and files that have neither positions nor numbers are
    pictures, each on its own; captured ones are left out beside slices, and raw radiographs beside
    those that were made of them. Localizers, segmentations, doses,
    screens that were saved and files without voxels (structured reports) are left out. File names
    do not matter, nor do suffixes or the preamble.

    Modality LUT, rescale slope and intercept and palettes are applied, also where they stand in the
    functional groups of a file of one frame. MONOCHROME1 (bright means little) is inverted, a
    series by one constant. Padding counts as the least of the other voxels.
    """

    suffixes = (".dcm", ".dicom", ".ima")
    folders = True

    def __init__(self) -> None:
        self._folder: tuple[Path, dict[str, list[Path]]] | None = None
        self._parts, self._beside = SeriesParts(), Beside()

    def claims(self, path: Path) -> bool:
        """Tell whether a file is DICOM: by its magic word, or its first element."""
        with path.open("rb") as file:
            start = file.read(132)
        return start[128:] == b"DICM" or begins_with_element(start)

    def records(self, path: Path) -> Sequence[Record]:
        """List the one image of a file, or the images of a folder: none without DICOM.

        Raises:
            UserError: if the slices of a series belong to several patients, or a header is cut off.
        """
        if not path.is_dir():
            header = _header(path)
            why = _no_image(header)
            return [Record(path, left_out=why) if why else self._listed(path, [header])]
        images, left_out = self._sorted_into_images(path)
        records = list(left_out)
        volumes = sum(len(files) > 1 for files in images)
        for files in images:
            self._note(path, files)
            item = files[0].path.name if len(files) > 1 and volumes > 1 else ""
            records.append(self._listed(path if len(files) > 1 else files[0].path, files, item))
        return records

    def _listed(self, place: Path, files: list[_Header], item: str = "") -> Record:
        """Return the record of an image, and note what it may be beside others."""
        first, patients = files[0], (header.patient for header in files)
        sliced, alone = first.modality in SLICES, first.modality in PICTURES | {"US"}
        self._beside.add(place, first.dataset, sliced=sliced, alone=alone)
        return Record(place, item, next(filter(None, patients), ""))

    def _note(self, folder: Path, files: list[_Header]) -> None:
        """Note which slices of a series a folder holds."""
        first, slices = files[0], {header.modality for header in files} - PICTURES
        stack = all(header.placed for header in files) or slices <= SLICES
        if slices and stack and first.frames <= 1:
            self._parts.add(first.series[:3], folder, _part(files))

    def check_whole(self, patients: Mapping[Path, str]) -> None:
        """Refuse series that lie in parts in several of the folders that were listed.

        Args:
            patients: of folders, where a manifest names them: of two patients none is a part.

        Raises:
            UserError: naming the folders.
        """
        self._parts.check(patients)

    def left_out(self, images: Collection[Path]) -> Mapping[Path, str]:
        """Return which of the listed images of one source are none beside the others, and why."""
        return self._beside.left_out(images)

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the slices of a series have different sizes, lie at one position or with a
                gap, or are not of one kind; if a file has several frames or no voxels.
        """
        if not record.path.is_dir():
            dataset = read_file(record.path)
            pixels = combined(record.path, [pixels_of(dataset, record.path)])[0]
            voxels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)  # (C, H, W)
            return Volume(gray_if_alike(voxels), pixel_spacing(dataset, record.path))
        files = self._files_of(record)
        slices = [(read_file(file), file) for file in files]
        if len(slices) == 1:
            return self.read(Record(files[0]))
        check_alike(record.path, slices)
        slices, step = sort_slices(record.path, slices)
        stack = combined(record.path, [pixels_of(dataset, file) for dataset, file in slices])
        first, path = slices[0]
        rows, columns = pixel_spacing(first, path)
        if step is None:
            apart = ("SpacingBetweenSlices", "SliceThickness")
            steps = (abs(number_of(first, keyword, path) or 0) for keyword in apart)
            return Volume(stack[None], (next(filter(None, steps), 1.0), rows, columns))
        spacing = (float(np.linalg.norm(step)), rows, columns)
        return Volume(stack[None], spacing, affine_of(first, path, step))  # (1, D, H, W)

    def _files_of(self, record: Record) -> list[Path]:
        """Return the files of one image of a folder."""
        if self._folder is None or self._folder[0] != record.path:
            images, _ = self._sorted_into_images(record.path)
            by_name = {files[0].path.name: [one.path for one in files] for files in images}
            self._folder = record.path, by_name
        known = self._folder[1]
        if not known:
            raise UserError(f"cannot read {record.path}: there are no DICOM images in it")
        if record.item in known:
            return known[record.item]
        many = {name: files for name, files in known.items() if len(files) > 1} or known
        if record.item or len(many) > 1:
            raise UserError(
                f"cannot read {record.path}: it holds {len(many)} images; name one by the first of "
                f"its files, as in {next(iter(many))}"
            )
        return next(iter(many.values()))

    def _sorted_into_images(self, folder: Path) -> tuple[list[list[_Header]], list[Record]]:
        """Return the files of each image of a folder by name, and the files that are no images."""
        series: dict[tuple[str, ...], list[_Header]] = defaultdict(list)
        left_out = []
        for path in self._files(folder):
            if path.name.upper() == "DICOMDIR":
                left_out.append(Record(path, left_out="a DICOMDIR"))
                continue
            header = _header(path)
            if why := _no_image(header):
                left_out.append(Record(path, left_out=why))
            else:
                series[header.series].append(header)
        images = [image for files in series.values() for image in _images(folder, files)]
        _check_one_series(folder, [files[0] for files in images if len(files) == 1])
        return sorted(images, key=lambda files: files[0].path.name), left_out

    def _files(self, folder: Path) -> list[Path]:
        """Return the DICOM files of a folder, by suffix or by content."""
        return [
            path
            for path in sorted(folder.iterdir())
            if not path.name.startswith(".")
            and path.is_file()
            and (path.name.lower().endswith(self.suffixes) or self.claims(path))
        ]


def _part(files: list[_Header]) -> Part:
    """Return what is to be known of some slices of a series."""
    placed = [header.dataset for header in files if header.placed]
    plane = placed[0].get("ImageOrientationPatient") if placed else ()
    own = [str(dataset.get("ImagePositionPatient")) for dataset in placed] or [
        text_of(header.dataset, "SOPInstanceUID") for header in files
    ]
    points = [_point(header) for header in files]
    return Part(
        from_header(files[0].patient),
        tuple(round(float(cosine), 2) + 0.0 for cosine in plane),
        files[0].size,
        frozenset(own),
        tuple(point for point in points if point) if len(placed) in (0, len(files)) else (),
    )


def _point(header: _Header) -> tuple[float, ...]:
    """Return where a slice lies, by its number where it has no position; () if nothing says it."""
    dataset, path = header.dataset, header.path
    with suppress(UserError, ValueError):
        if header.placed:
            return tuple(numbers_of(dataset, "ImagePositionPatient", 3, path) or ())
        return 0.0, 0.0, float(text_of(dataset, "InstanceNumber"))
    return ()


def _header(path: Path) -> _Header:
    with reading(path):
        dataset = open_file(path, before_pixels=True, tags=TAGS)
        take_functional_groups(dataset)
        uid, study = text_of(dataset, "SeriesInstanceUID"), text_of(dataset, "StudyInstanceUID")
        patient = text_of(dataset, "PatientID") or text_of(dataset, "PatientName")
        place = str(dataset.get("ImageOrientationPatient") or "")
        size = f"{dataset.get('Rows')} x {dataset.get('Columns')}"
        series = (uid,) if uid else ("", study, patient, place, size)
        return _Header(path, dataset, series, modality_of(dataset), patient)


def _no_image(header: _Header) -> str:
    """Say why a file is no image of a patient, "" if it is one."""
    dataset = header.dataset
    known = text_of(dataset, "SOPClassUID")
    name = UID(known).name
    name = "of unknown kind" if name == known else name.removesuffix(" Storage")
    if known in LABELS or header.modality == "SEG":
        return "segmentations (DICOM SEG)"
    if known.startswith(DOSES) or header.modality.startswith("RT") or not all(header.size):
        kinds = known, text_of(dataset.file_meta, "MediaStorageSOPClassUID")
        cut = not all(header.size) and not known.startswith(DOSES)
        if cut and any("Image Storage" in UID(kind).name for kind in kinds):
            raise UserError(
                f"cannot read {header.path}: its header ends before it says the size of its image "
                f"({name}): get the file again, or take it out"
            )
        said = shown(header.modality or "unknown", "A-Za-z")
        return f"DICOM files without an image ({name}, modality {said})"
    if "LOCALIZER" in image_types(dataset):
        return "localizers"
    said = " ".join([*image_types(dataset), text_of(dataset, "SeriesDescription")])
    if "Secondary Capture" in name and not header.placed and SCREENS.search(said.replace("_", " ")):
        return "screens that were saved (dose reports and the like)"
    return ""


def _images(folder: Path, files: list[_Header]) -> list[list[_Header]]:
    """Take the files of a series apart: one volume, or each file a picture."""
    alone = [[header] for header in files if is_captured(header.dataset)]
    files = [header for header in files if not is_captured(header.dataset)] if alone else files
    return alone + (_of_series(folder, files) if files else [])


def _of_series(folder: Path, files: list[_Header]) -> list[list[_Header]]:
    """Take the files of a series apart that are no captured pictures."""
    placed = [header.placed for header in files]
    modalities = {header.modality for header in files}
    numbers = {text_of(header.dataset, "InstanceNumber") for header in files}
    frames = any(header.frames > 1 for header in files)
    numbered = modalities <= SLICES and len(files) > 1
    if modalities & PICTURES or frames or not (any(placed) or numbered):
        return [[header] for header in files]
    if numbered and not any(placed) and (len(numbers) < len(files) or "" in numbers):
        raise UserError(
            f"cannot read {folder}: the slices of a series have neither positions nor distinct "
            f"numbers, e.g. {files[0].path.name}"
        )
    _check_one_patient(folder, files)
    return [files]


def _check_one_series(folder: Path, alone: list[_Header]) -> None:
    """Refuse slices of one volume each of which says a series of its own."""
    stacks: dict[tuple[object, ...], list[_Header]] = defaultdict(list)
    for header in alone:
        if header.placed and header.frames <= 1 and header.modality in SLICES:
            part = _part([header])
            study = text_of(header.dataset, "StudyInstanceUID")
            stacks[study, part.patient, part.plane, part.size].append(header)
    for files in stacks.values():
        if make_one_stack([_part([header]) for header in files]):
            raise UserError(
                f"cannot read {folder}: {len(files)} slices, e.g. {files[0].path.name}, lie as "
                "those of one volume, and each says a series of its own (SeriesInstanceUID). Write "
                "one number into all, or convert them to NIfTI; if they are pictures, name each "
                "file in a manifest"
            )


def _check_one_patient(folder: Path, files: list[_Header]) -> None:
    """Refuse slices that cannot be of one patient, by what they say and never by showing it."""
    said = {
        key: [text_of(header.dataset, key) for header in files]
        for key in ("PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID")
    }
    names = [from_header(header.patient) for header in files]
    if not any(names):
        names = [from_header(name) for name in said["PatientName"]]
    nameless, patients = names.count(""), len({*names} - {""})
    births, sexes, studies = (len({*said[key]} - {""}) for key in list(said)[1:])
    if patients > 1:
        why = f"name {patients} patients"
    elif patients and nameless:
        why = f"may be of two patients: {nameless} of them name none"
    elif births > 1:
        why = f"name {births} dates of birth (PatientBirthDate)"
    elif sexes > 1:
        why = f"name {sexes} sexes (PatientSex)"
    elif studies > 1:
        why = f"are of {studies} studies (StudyInstanceUID)"
    else:
        return
    raise UserError(
        f"cannot read {folder}: the {len(files)} slices of one series {why}, e.g. "
        f"{files[0].path.name}. Sort them into one folder a patient, named in a manifest; if all "
        "are of one, correct their headers"
    )
