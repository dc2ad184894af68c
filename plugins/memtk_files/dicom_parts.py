"""Series of DICOM whose slices lie in several folders: no folder holds the volume."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
        points: their positions in mm, (0, 0, InstanceNumber) where they have none.
    """

    patient: str
    plane: tuple[float, ...]
    size: tuple[int, int]
    slices: frozenset[str]
    points: tuple[tuple[float, ...], ...] = ()

    def belongs_to(self, other: Part) -> bool:
        """Tell whether they may be slices of one volume: no copies, and no other time of it."""
        planes = {self.plane, other.plane}
        alike = self.size == other.size if () in planes else len(planes) == 1
        return alike and self.slices != other.slices


def make_one_stack(parts: Sequence[Part]) -> bool:
    """Tell whether slices of several folders lie at even steps along one line: no series says it.

    Parts of one slice each make one where there are three of them or more.
    """
    points = np.array([point for part in parts for point in part.points])
    if len({(part.plane, part.size) for part in parts}) > 1 or len(points) < 3:
        return False
    plane = parts[0].plane
    normal = np.cross(plane[:3], plane[3:]) if plane else np.array([0.0, 0.0, 1.0])
    along = points @ normal
    gaps, aside = np.diff(np.sort(along)), points - along[:, None] * normal
    even = gaps.min() > 1e-3 and np.ptp(gaps) <= 0.05 * np.median(gaps)
    return bool(even and np.ptp(aside, axis=0).max() < 0.1)


class SeriesParts:
    """What each folder that was listed holds of which series."""

    def __init__(self) -> None:
        self._patients: dict[Path, str] = {}
        self._series: dict[tuple[str, ...], dict[Path, Part]] = defaultdict(dict)

    def add(self, series: tuple[str, ...], folder: Path, part: Part) -> None:
        """Note what a folder holds of a series.

        Args:
            series: its number (SeriesInstanceUID); "", the study and the patient without one.
        """
        self._series[series][folder] = part

    def check(self, patients: Mapping[Path, str]) -> None:
        """Refuse series of one patient that lie in parts in several folders.

        Args:
            patients: of folders, where something else than their files says them.

        Raises:
            UserError: naming the folders.
        """
        self._patients.update(patients)
        for name, series in self._series.items():
            by_patient: dict[str, dict[Part, Path]] = defaultdict(dict)
            for folder, part in series.items():
                by_patient[self._patients.get(folder) or part.patient].setdefault(part, folder)
            anyones = by_patient.pop("", {})
            for own in by_patient.values() or ({},):
                _check_one(own | anyones, name)


def _check_one(folders: Mapping[Part, Path], series: tuple[str, ...]) -> None:
    """Refuse parts of one volume among those of one patient."""
    pairs = list(itertools.combinations(folders, 2))
    if series[0]:
        found = any(one.belongs_to(other) for one, other in pairs)
    else:
        least = 1 if any(series) else 2  # slices of what may be of anybody
        pairs = [pair for pair in pairs if min(len(part.points) for part in pair) >= least]
        found = any(map(make_one_stack, [*pairs, tuple(folders)] if least == 1 else pairs))
    if found:
        raise UserError(
            f"the slices of one series lie in {len(folders)} folders, {few([*folders.values()])}: "
            "put them into one. If each is a volume of its own, name it with its patient in a "
            "manifest, or save it as NIfTI"
        )
