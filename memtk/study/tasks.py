"""The tasks of a study: shared images, shared detectors, then the runs; and doing one of them."""

from __future__ import annotations

import copy
import os
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memtk.bench import Plan, Recipe, make_plan, run_bench
from memtk.bench.run import train_detector
from memtk.errors import UserError, is_failure, one_line
from memtk.evaluation.context import Context, StageTimer, open_run, prepared
from memtk.events import Event, Watch, ignore
from memtk.files import copy_file, explain, write_text
from memtk.folders import working_in
from memtk.registry import Registry, open_registry
from memtk.results.run import read_run_file
from memtk.results.store import write_record
from memtk.results.study import (
    Failure,
    StudyFile,
    StudyRun,
    cell_folder,
    failure_path,
    finished_results,
    read_study_file,
)
from memtk.study.axes import at_equal_epochs
from memtk.training.devices import Devices, open_devices

Kind = Literal["images", "detector", "cell"]

DONE = "done"
"""A file in the folder of a shared part, once it is whole."""


@dataclass(frozen=True)
class Task:
    """One part of a study, independent of all others of its stage.

    Args:
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
        home = cell_folder(folder, task.name)  # a kill may have come before its page was made
        return finished_results(home) is not None and (home / "report.html").exists()
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
            finished: by earlier calls.
            width: how many run at a time.
        """

    def started(self, task: Task) -> None:
        """Tell that a task was started, or handed to the cluster."""

    def inner(self, event: Event) -> None:
        """Tell of what happens inside a task of this process."""

    def ended(self, task: Task, failure: str | None, seconds: float) -> None:
        """Tell that a task ended, so many seconds after its start, and why it failed."""


def spent(run: Path) -> float | None:
    """Return the seconds that a run took, over all its calls; None if that is not known."""
    stages = StageTimer.kept(run / "timing.json")
    return float(sum(stages.values())) if stages else None


def seconds_left(folder: Path, runs: Iterable[StudyRun], width: int = 1) -> float | None:
    """Return the seconds that unfinished runs will take, by the mean of the finished ones.

    What an unfinished run has done already is taken off. None while no run is finished.

    Args:
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


def attempt(
    folder: Path, kind: str, name: str, *, registry: Registry | None = None, watch: Watch = ignore
) -> str | None:
    """Do one task of the study in `folder`; what it fails of is written down and returned.

    A failure is a sentence for the user; where it is no `UserError`, the trace of the program is
    in `folder/logs`. It does not raise, so that the other tasks go on.
    """
    task = find_task(read_study_file(folder), kind, name)
    place = failure_path(folder, task.part)
    place.unlink(missing_ok=True)
    try:
        perform(folder, task, registry or open_registry(), watch)
    except UserError as error:
        message = str(error)
    except BaseException as error:
        if not is_failure(error):
            raise
        log = folder / "logs" / f"{task.part}.trace.txt"
        write_text(log, traceback.format_exc())
        message = f"{one_line(error)}\nThe trace of the program is in {log}."
    else:
        return None
    write_record(place, Failure(message=message))
    return message


def perform(folder: Path, task: Task, registry: Registry, watch: Watch = ignore) -> None:
    """Do one task of the study in `folder`.

    Raises:
        UserError: for what a bench of it would refuse.
    """
    file = read_study_file(folder)
    plan = make_plan(Recipe.model_validate(task.run.recipe), registry)
    if task.kind == "cell":
        _bench(folder, file, task, plan, registry, watch)
        return
    home = shared_folder(folder, task.kind, task.name)
    devices = open_devices(file.device)
    with working_in(home):
        if task.kind == "images":
            prepared(plan.data, registry, home, devices, watch)
        else:
            _detect(folder, task, plan, registry, devices, watch)
    write_text(home / DONE, "")


def _detect(
    folder: Path, task: Task, plan: Plan, registry: Registry, devices: Devices, watch: Watch
) -> None:
    """Train the copy detector that the runs of one seed and one set of images share."""
    home = shared_folder(folder, task.kind, task.name)
    hard_link(shared_folder(folder, "images", task.run.images) / "data", home / "data")
    dataset = prepared(plan.data, registry, home, devices, watch)
    plan.check_dims(dataset.spec, registry)
    bench, timer = plan.recipe.bench, StageTimer(home / "timing.json")
    context = Context(devices, home, timer, watch, bench.seed, bench.batch_size, dataset)
    train_detector(context, plan)


def _bench(
    folder: Path, file: StudyFile, task: Task, plan: Plan, registry: Registry, watch: Watch
) -> None:
    """Do one run as the bench that it is, with what it shares laid into its run folder."""
    home, run = cell_folder(folder, task.name), task.run
    images = shared_folder(folder, "images", run.images)
    if file.equal_epochs:
        dataset = prepared(plan.data, registry, images, open_devices(file.device), ignore)
        plan = at_equal_epochs(plan, dataset, registry)
    with working_in(home):
        open_run(home, plan.identity(), list(plan.generators), resume=True)
        hard_link(images / "data", home / "data")
        if run.detector:
            trained = shared_folder(folder, "detector", run.detector) / "embedder" / "training"
            hard_link(trained, home / "embedder" / "training")
        _link_training(folder, file, home, plan)
    run_bench(plan, registry, out=home, device=file.device, watch=watch)


def _link_training(folder: Path, file: StudyFile, home: Path, plan: Plan) -> None:
    """Give a run the trainings of a finished one that differs from it in sampling alone."""
    wanted = _trained(plan.identity(), plan)
    for other in file.cells:
        place = cell_folder(folder, other.name)
        if place == home or finished_results(place) is None:
            continue
        if _trained(read_run_file(place).recipe, plan) == wanted:
            for trained in sorted(place.glob("cells/*/training")):
                hard_link(trained, home / trained.relative_to(place))
            return


def _trained(identity: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return what decides on the trainings of a run, of all that decides on its numbers."""
    tree = copy.deepcopy(dict(identity))
    tree.pop("settings", None)  # whole in the configurations of the components
    tree.pop("condition_from", None)
    tree["bench"].pop("condition_from", None)
    for part in plan.generators.values():
        for key, component in tree["components"].items():
            if key.startswith("generator") and key.endswith(f"/{part.name}"):
                for setting in getattr(part.cls, "of_sampling", ()):
                    component["config"].pop(setting, None)
    return tree


def hard_link(source: Path, target: Path) -> None:
    """Give `target` every file of the folder `source` that it has not got.

    As hard links: each run folder is whole by itself and may be moved or deleted alone, and the
    bytes lie on the disk once. That is safe because these files are never changed in place, only
    replaced. Where the file system has no hard links the files are copied.

    Raises:
        UserError: if `target` cannot be written.
    """
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or path.name.startswith("."):
            continue
        place = target / relative
        if place.exists():
            continue
        with explain(target):
            place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            copy_file(path, place)
