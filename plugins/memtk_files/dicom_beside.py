"""DICOM files that are images by themselves, and none beside the others of their source."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pydicom
from pydicom.uid import UID

from memtk_files.dicom_file import text_of

CAPTURED = "captured pictures beside slices (DICOM Secondary Capture)"
RAW = "raw pictures beside those that were made of them (FOR PROCESSING)"

INTENT, EXPOSURE, SOURCE = (
    "PresentationIntentType",
    "IrradiationEventUID",
    "SourceImageSequence",
)
TAGS = (
    *(INTENT, EXPOSURE, SOURCE, "Laterality", "ImageLaterality"),
    *("ViewPosition", "ViewCodeSequence"),
)
"""What is read of a file to know which exposure it shows."""


def is_captured(dataset: pydicom.Dataset) -> bool:
    """Tell whether a file is a picture of a screen or a page: its voxels lie nowhere in anybody."""
    name = UID(text_of(dataset, "SOPClassUID")).name
    return "Secondary Capture" in name and not dataset.get("ImagePositionPatient")


class Beside:
    """What the files that were listed are to one another."""

    def __init__(self) -> None:
        self._captured: set[Path] = set()
        self._sliced: set[Path] = set()
        self._exposures: dict[Path, frozenset[tuple[str, ...]]] = {}
        self._raw: set[Path] = set()

    def add(self, image: Path, dataset: pydicom.Dataset, *, sliced: bool, alone: bool) -> None:
        """Note an image.

        Args:
            image: its file, or the folder of its slices.
            dataset: the header of its first file.
            sliced: whether its modality is one of slices.
            alone: whether its modality is one whose pictures are captured (radiographs).
        """
        if is_captured(dataset) and not alone:
            self._captured.add(image)
        elif sliced:
            self._sliced.add(image)
        intent = text_of(dataset, INTENT) or UID(text_of(dataset, "SOPClassUID")).name
        if "FOR P" in intent.upper():
            self._exposures[image] = frozenset(_exposures(dataset))
        if "FOR PROCESSING" in intent.upper():
            self._raw.add(image)

    def left_out(self, images: Collection[Path]) -> dict[Path, str]:
        """Return which of the images of one source are left out, and why."""
        found = {}
        if not self._sliced.isdisjoint(images):
            found = {path: CAPTURED for path in images if path in self._captured}
        shown = [self._exposures[p] for p in images if p in self._exposures and p not in self._raw]
        known = frozenset[tuple[str, ...]]().union(*shown)
        raw = (path for path in images if path in self._raw)
        return found | {path: RAW for path in raw if self._exposures[path] & known}


def _exposures(dataset: pydicom.Dataset) -> list[tuple[str, ...]]:
    """Return what two pictures of one exposure share: its number, a file, or study and view."""
    files = [dataset, *(dataset.get(SOURCE) or ())]
    of_files = [
        text_of(file, key)
        for file in files
        for key in ("SOPInstanceUID", "ReferencedSOPInstanceUID")
    ]
    codes = [text_of(code, "CodeValue") for code in dataset.get("ViewCodeSequence") or ()]
    view = text_of(dataset, "ViewPosition") or "".join(codes[:1])
    side = text_of(dataset, "ImageLaterality") or text_of(dataset, "Laterality")
    study, patient = text_of(dataset, "StudyInstanceUID"), text_of(dataset, "PatientID")
    found: list[tuple[str, ...]] = [("file", uid) for uid in of_files if uid]
    if event := text_of(dataset, EXPOSURE):
        found.append(("event", event))
    if study and view:
        found.append((study, patient, side, view))
    return found
