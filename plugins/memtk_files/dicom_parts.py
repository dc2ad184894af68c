"""Series of DICOM whose slices lie in several folders: no folder holds the volume."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memtk import UserError
from memtk.data.manifest import few


@dataclass(frozen=True)
class Part:
    """Slices of one series that lie in one folder.

    Args:
        patient: a code of whose they are; "" where they do not say it.
        plane: the cosines of their rows and columns; () where they have no positions.
        size: rows and columns.
        slices: their positions, or their own numbers (SOPInstanceUID) where they have none.
    """

    patient: str
    plane: tuple[float, ...]
    size: tuple[int, int]
    slices: frozenset[str]

    def belongs_to(self, other: Part) -> bool:
        """Tell whether they may be slices of one volume: no copies, and no other time of it."""
        planes = {self.plane, other.plane}
        alike = self.size == other.size if () in planes else len(planes) == 1
        return alike and self.slices != other.slices


class SeriesParts:
    """What each folder that was listed holds of which series."""

    def __init__(self) -> None:
        self._patients: dict[Path, str] = {}
        self._series: dict[str, dict[Path, Part]] = defaultdict(dict)

    def add(self, series: str, folder: Path, part: Part) -> None:
        """Note what a folder holds of a series, by its number (SeriesInstanceUID)."""
        self._series[series][folder] = part

    def check(self, patients: Mapping[Path, str]) -> None:
        """Refuse series of one patient that lie in parts in several folders.

        Args:
            patients: of folders, where something else than their files says them.

        Raises:
            UserError: naming the folders.
        """
        self._patients.update(patients)
        for series in self._series.values():
            by_patient: dict[str, dict[Part, Path]] = defaultdict(dict)
            for folder, part in series.items():
                by_patient[self._patients.get(folder) or part.patient].setdefault(part, folder)
            anyones = by_patient.pop("", {})
            for own in by_patient.values() or ({},):
                _check_one(own | anyones)


def _check_one(folders: Mapping[Part, Path]) -> None:
    """Refuse parts of one volume among those of one patient."""
    if any(one.belongs_to(other) for one, other in itertools.combinations(folders, 2)):
        raise UserError(
            f"the slices of one series lie in {len(folders)} folders, {few([*folders.values()])}: "
            "put them into one. If each is a volume of its own, name it with its patient in a "
            "manifest, or save it as NIfTI"
        )
