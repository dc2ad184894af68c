"""The parts of a study that are run: shared images, shared detectors, then the runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memtk.errors import UserError
from memtk.results.study import StudyFile, StudyRun, cell_folder, finished_results

Kind = Literal["images", "detector", "cell"]

DONE = "done"
"""A file in the folder of a shared part, once it is whole."""


@dataclass(frozen=True)
class Task:
    """One part of a study, independent of all others of its stage.

    Args:
        kind: what is done.
        name: of the run, or the key of the shared part.
        run: the run, or the first of those that share the part.
    """

    kind: Kind
    name: str
    run: StudyRun

    @property
    def part(self) -> str:
        """A name that no other part of the study has: for its log and its failure."""
        return self.name if self.kind == "cell" else f"{self.kind}-{self.name}"


def stages(file: StudyFile) -> tuple[tuple[Task, ...], ...]:
    """Return the tasks of a study, stage after stage."""
    images = {run.images: run for run in reversed(file.cells)}
    detectors = {run.detector: run for run in reversed(file.cells) if run.detector}
    return (
        tuple(Task("images", key, run) for key, run in images.items()),
        tuple(Task("detector", str(key), run) for key, run in detectors.items()),
        tuple(Task("cell", run.name, run) for run in file.cells),
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
    """Return where a part lies that runs share."""
    return folder / "shared" / f"{kind}-{key}"


def is_finished(folder: Path, task: Task) -> bool:
    """Tell whether a task needs no more work."""
    if task.kind == "cell":
        return finished_results(cell_folder(folder, task.name)) is not None
    return (shared_folder(folder, task.kind, task.name) / DONE).exists()


def needed(folder: Path, tasks: Iterable[Task], runs: Iterable[StudyRun]) -> tuple[Task, ...]:
    """Return the tasks that unfinished runs need and that are not finished."""
    keys = {key for run in runs for key in (run.images, run.detector, run.name)}
    return tuple(t for t in tasks if t.name in keys and not is_finished(folder, t))
