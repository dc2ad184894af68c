"""What a study tells a display, and how long it will take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from memtk.events import Event
from memtk.results.study import StudyRun, cell_folder, finished_results
from memtk.study.tasks import Task


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


def in_words(seconds: float) -> str:
    """Return a time for a person.

    >>> [in_words(s) for s in (8, 95, 3700, 200_000)]
    ['8 s', '2 min', '1 h 2 min', '2 d 7 h']
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{round(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
