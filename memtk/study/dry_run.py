"""What a study would do, without doing it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.bench import Plan, describe_plan
from memtk.data.prepare import Dataset
from memtk.events import Watch, ignore
from memtk.registry import Registry
from memtk.results.formats import many
from memtk.results.study import STUDY, cell_folder, failure_path, finished_results
from memtk.study.display import in_words, seconds_left
from memtk.study.epochs import at_equal_epochs
from memtk.study.plan import StudyPlan


def describe_study(
    plan: StudyPlan,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    width: int = 1,
    watch: Watch = ignore,
) -> RenderableType:
    """Return the grid with what is done of it, what the cells share, and the first cell's models.

    Args:
        out: the study's folder.
        device: must be there.
        width: cells that would run at a time.
        watch: told of the reading of the images.

    Raises:
        UserError: for all that the first cell's bench would refuse before training.
    """
    folder = out or plan.default_folder()

    def adjust(first: Plan, dataset: Dataset) -> Plan:
        return at_equal_epochs(first, dataset, registry) if plan.equal_epochs else first

    first = describe_plan(
        plan.runs[0].plan,
        registry,
        watch=watch,
        out=cell_folder(folder, plan.runs[0].name),
        device=device,
        adjust=adjust,
    )
    return Group(
        _grid(plan, folder),
        *(Text(line) for line in _summary(plan, folder, width)),
        Text(),
        Text(f"The first cell, {plan.runs[0].name}:", style="bold"),
        first,
    )


def _grid(plan: StudyPlan, folder: Path) -> Table:
    table = Table(title="cells", title_justify="left")
    table.add_column("", justify="right")
    for axis in plan.axes:
        table.add_column(axis.stored().label)
    table.add_column("state")
    for number, run in enumerate(plan.runs, 1):
        values = (run.stored.values[axis.key] for axis in plan.axes)
        table.add_row(str(number), *values, _state(folder, run.name))
    return table


def _state(folder: Path, name: str) -> str:
    run = cell_folder(folder, name)
    if finished_results(run) is not None:
        return "finished"
    if failure_path(folder, name).exists():
        return "failed, is tried again"
    return "begun" if (run / "run.json").exists() else "to do"


def _summary(plan: StudyPlan, folder: Path, width: int) -> list[str]:
    runs = [run.stored for run in plan.runs]
    done = sum(_state(folder, run.name) == "finished" for run in runs)
    images = {run.images for run in runs}
    detectors = {run.detector for run in runs if run.detector}
    shared = [f"the images ({_times(len(images), 'read')})"]
    if detectors:
        alone = sum(run.detector is not None for run in runs)
        trained = _times(len(detectors), "trained")
        shared.append(f"the copy detector ({trained} for {many(alone, 'cell')})")
    lines = [
        f"{many(len(runs), 'cell')}, {done} finished; shared: {', '.join(shared)}",
        f"{_at_a_time(width)}; study folder {folder}",
    ]
    if plan.equal_epochs:
        lines.append(
            "equal epochs: the steps of the generators follow the number of training images"
        )
    left = seconds_left(folder, runs, width) if (folder / STUDY).exists() else None
    if done == len(runs):
        lines.append("nothing is left to do but the report")
    elif left is not None:
        lines.append(
            f"time left: about {in_words(left)}, by the mean of the {many(done, 'finished cell')}"
        )
    else:
        lines.append("time left: not known before a cell is finished")
    return lines


def _at_a_time(width: int) -> str:
    return "one cell after another" if width == 1 else f"{width} cells at a time"


def _times(count: int, verb: str) -> str:
    """Return how often something is done.

    >>> _times(1, "read"), _times(3, "trained")
    ('read once', 'trained 3 times')
    """
    return f"{verb} once" if count == 1 else f"{verb} {count} times"
