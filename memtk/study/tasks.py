"""The parts of a study that are run: shared images, shared detectors, then the runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memtk.errors import UserError
from memtk.events import Event
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


class StudyDisplay:
    """Shows nothing; a display overrides what it shows."""

    def stage(self, kind: str, total: int, finished: int, width: int) -> None:
        """Tell that tasks of a kind begin.

        Args:
            kind: "images", "detector" or "cell".
            total: of this kind.
            finished: by earlier calls.
            width: how many run at a time.
        """

    def started(self, task: Task) -> None:
        """Tell that a task was started, or handed to the cluster."""

    def inner(self, event: Event) -> None:
        """Tell of what happens inside a task of this process."""

    def ended(self, task: Task, failure: str | None, seconds: float) -> None:
        """Tell that a task ended.

        Args:
            failure: what kept it from being finished; None if nothing did.
            seconds: since it was started.
        """


def spent(run: Path) -> float | None:
    """Return the seconds that a run took, over all its calls; None if that is not known."""
    try:
        stages = json.loads((run / "timing.json").read_text(encoding="utf-8"))
        return float(sum(stages.values()))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def seconds_left(folder: Path, runs: Iterable[StudyRun], width: int = 1) -> float | None:
    """Return the seconds that unfinished runs will take, by the mean of the finished ones.

    What an unfinished run has done already is taken off. None while no run is finished.

    Args:
        folder: of the study.
        runs: all of them.
        width: runs at a time.
    """
    done: list[float] = []
    begun: list[float] = []
    for run in runs:
        home = cell_folder(folder, run.name)
        seconds = spent(home)
        if finished_results(home) is None:
            begun.append(seconds or 0.0)
        elif seconds is not None:
            done.append(seconds)
    if not done:
        return None
    mean = sum(done) / len(done)
    return sum(max(mean - seconds, 0.0) for seconds in begun) / max(1, width)
