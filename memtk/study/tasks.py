"""The parts of a study that are run: shared images, shared detectors, then the cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memtk.errors import UserError
from memtk.results.study import StudyCell, StudyFile, cell_folder, finished_results

Kind = Literal["images", "detector", "cell"]

DONE = "done"
"""A file in the folder of a shared part, once it is whole."""


@dataclass(frozen=True)
class Task:
    """One part of a study, independent of all others of its stage.

    Args:
        kind: what is done.
        name: of the cell, or the key of the shared part.
        cell: the cell, or the first of those that share the part.
    """

    kind: Kind
    name: str
    cell: StudyCell

    @property
    def part(self) -> str:
        """A name that no other part of the study has: for its log and its failure."""
        return self.name if self.kind == "cell" else f"{self.kind}-{self.name}"


def stages(file: StudyFile) -> tuple[tuple[Task, ...], ...]:
    """Return the tasks of a study, stage after stage."""
    images = {cell.images: cell for cell in reversed(file.cells)}
    detectors = {cell.detector: cell for cell in reversed(file.cells) if cell.detector}
    return (
        tuple(Task("images", key, cell) for key, cell in images.items()),
        tuple(Task("detector", str(key), cell) for key, cell in detectors.items()),
        tuple(Task("cell", cell.name, cell) for cell in file.cells),
    )


def find_task(file: StudyFile, kind: str, name: str) -> Task:
    """Return one task of a study.

    Raises:
        UserError: if there is none of that kind and name.
    """
    for task in (task for stage in stages(file) for task in stage):
        if (task.kind, task.name) == (kind, name):
            return task
    raise UserError(f"the study has no {kind} {name}: it was changed while this was waiting")


def shared_folder(folder: Path, kind: str, key: str) -> Path:
    """Return where a part lies that cells share."""
    return folder / "shared" / f"{kind}-{key}"


def is_finished(folder: Path, task: Task) -> bool:
    """Tell whether a task needs no more work."""
    if task.kind == "cell":
        return finished_results(cell_folder(folder, task.name)) is not None
    return (shared_folder(folder, task.kind, task.name) / DONE).exists()


def needed(folder: Path, tasks: Iterable[Task], cells: Iterable[StudyCell]) -> tuple[Task, ...]:
    """Return the tasks that unfinished cells need and that are not finished."""
    left = tuple(cells)
    keys = {cell.images for cell in left} | {cell.detector for cell in left}
    keys |= {cell.name for cell in left}
    return tuple(t for t in tasks if t.name in keys and not is_finished(folder, t))
