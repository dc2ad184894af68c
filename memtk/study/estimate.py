"""How long a study will take, from the cells that are finished."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from memtk.results.study import StudyCell, cell_folder, finished_results


def spent(run: Path) -> float | None:
    """Return the seconds that a run took, over all its calls; None if that is not known."""
    try:
        stages = json.loads((run / "timing.json").read_text(encoding="utf-8"))
        return float(sum(stages.values()))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def seconds_left(folder: Path, cells: Iterable[StudyCell], width: int = 1) -> float | None:
    """Return the seconds that unfinished cells will take, by the mean of the finished ones.

    What an unfinished cell has done already is taken off. None while no cell is finished.

    Args:
        folder: of the study.
        cells: all of them.
        width: cells that run at a time.
    """
    done: list[float] = []
    begun: list[float] = []
    for cell in cells:
        run = cell_folder(folder, cell.name)
        seconds = spent(run)
        if finished_results(run) is None:
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
