"""Runs a study: what its runs share, then the runs, then the report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from memtk.errors import UserError
from memtk.evaluation.context import named_folder
from memtk.files import FULL, explain
from memtk.folders import claim, remove, working_in
from memtk.registry import Registry
from memtk.report import build_study_report
from memtk.results import read_run
from memtk.results.seeds import signature
from memtk.results.store import write_record
from memtk.results.study import (
    STUDY,
    Failure,
    Study,
    StudyFile,
    cell_folder,
    failure_path,
    read_study,
    read_study_file,
    write_study_file,
)
from memtk.study.launchers import Cluster, Launcher, Processes, run_elsewhere, run_here
from memtk.study.plan import StudyPlan
from memtk.study.tasks import StudyDisplay, Task, is_finished, needed, stages

Executor = Literal["here", "local", "slurm"]

_CONTENTS = ("shared", "cells", "failed", "jobs", "logs", "report.html", "study.csv", STUDY)


@dataclass(frozen=True)
class Jobs:
    """Where the runs of a study are done, and how many at a time.

    Args:
        executor: "here", or submitit's "local" or "slurm".
        count: runs at a time; None: 1 here, 1 of submitit's local executor, all on SLURM. More than
            one here are processes of one thread each.
    """

    executor: Executor = "here"
    count: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def width(self, runs: int) -> int:
        """Return how many of so many runs are done at a time."""
        return self.count or (max(1, runs) if self.executor == "slurm" else 1)


HERE = Jobs()
"""One run after the other, in this process."""


@dataclass(frozen=True)
class FinishedStudy:
    """What a study leaves behind, and its page; None if no run is finished."""

    study: Study
    report: Path | None


def run_study(
    plan: StudyPlan,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    jobs: Jobs = HERE,
    resume: bool = True,
    display: StudyDisplay | None = None,
) -> FinishedStudy:
    """Do every run that is not finished yet, and make the report.

    Args:
        out: the study's folder; by default one that its settings determine.
        jobs: where runs are done, and how many at a time.
        resume: False throws away what is there.
        display: told of all that happens.

    Raises:
        UserError: for a folder that cannot be used, and if the images cannot be read: then no
            run could be done.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "memtk study starts its cells itself: run it without accelerate or torchrun, and say "
            "--jobs or --executor"
        )
    folder, display = out or plan.default_folder(), display or StudyDisplay()
    with working_in(folder, "study"), explain(folder, FULL):
        file = open_study(folder, plan.file(device), resume=resume)
        launcher = _launcher(folder, jobs, len(file.cells))
        _run(folder, file, registry, launcher, display)
        return _report(folder)


def study_runs(file: StudyFile, *, out: Path | None = None, resume: bool = True) -> FinishedStudy:
    """Make the report of runs that are there: see `memtk.study.run.study_of_runs`.

    Raises:
        UserError: for a folder that cannot be used.
    """
    folder = out or named_folder("study-iterations", {"runs": file.runs})
    with working_in(folder, "study"):
        open_study(folder, file, resume=resume)
        return _report(folder)


def open_study(folder: Path, file: StudyFile, *, resume: bool = True) -> StudyFile:
    """Make a study's folder, or go on in it; return what `study.json` says now.

    A study that is there may be extended: runs of the same name and settings are kept as they
    are, new ones are added. A run whose settings have changed refuses to go on by itself.

    Args:
        folder: held by `memtk.folders.working_in`.
        resume: False throws away what is there.

    Raises:
        UserError: if the folder holds something else.
    """
    claim(folder, "study")
    created = file.created
    if (folder / STUDY).exists() and resume:
        created = read_study_file(folder).created
    elif not resume:
        remove(folder, _CONTENTS)
    file = file.model_copy(update={"created": created})
    write_study_file(folder, file)
    return file


def _report(folder: Path) -> FinishedStudy:
    study = read_study(folder)
    report = build_study_report(folder) if study.findings else None
    return FinishedStudy(study, report)


def check_jobs(jobs: Jobs) -> None:
    """Refuse parameters of a cluster's jobs where there are none.

    Raises:
        UserError: with the way out.
    """
    if jobs.executor == "here" and jobs.parameters:
        raise UserError("--slurm goes with --executor slurm, or --executor local to try it here")


def _launcher(folder: Path, jobs: Jobs, runs: int) -> Launcher | None:
    check_jobs(jobs)
    if jobs.executor != "here":
        return Cluster(folder, jobs.executor, jobs.width(runs), jobs.parameters)
    return Processes(folder, jobs.count) if jobs.count and jobs.count > 1 else None


def _run(
    folder: Path,
    file: StudyFile,
    registry: Registry,
    launcher: Launcher | None,
    display: StudyDisplay,
) -> None:
    failed: dict[str, str] = {}
    for stage in stages(file):
        left = [task.run for task in stages(file)[2] if not is_finished(folder, task)]
        wanted = needed(folder, stage, left)
        tasks = [task for task in wanted if not _hopeless(folder, task, failed)]
        if not tasks:
            continue
        kind = tasks[0].kind
        width = launcher.width if launcher else 1
        display.stage(kind, len(stage), len(stage) - len(wanted), width)
        if launcher is None:
            lost = run_here(folder, tasks, registry, display)
        else:
            lost = run_elsewhere(folder, tasks, launcher, display)
        if kind == "images" and len(lost) == len(stage):
            raise UserError(next(iter(lost.values())))
        failed |= lost


def _hopeless(folder: Path, task: Task, failed: Mapping[str, str]) -> bool:
    """Tell whether something that the task needs has failed, and write that down."""
    needs = [f"images-{task.run.images}"]
    needs += [f"detector-{task.run.detector}"] if task.kind == "cell" else []
    for part in needs:
        if part in failed:
            write_record(failure_path(folder, task.part), Failure(message=failed[part]))
            return True
    return False


def study_of_runs(runs: Sequence[Path]) -> StudyFile:
    """Return the study of finished runs: their checkpoint series side by side.

    Args:
        runs: folders of `memtk bench`; a study's folder stands for all its cells.

    Raises:
        UserError: if one is not finished, or they are of different images.
    """
    folders = [folder for run in runs for folder in _folders(Path(run))]
    if doubles := [f for f in folders if folders.count(f) > 1]:
        raise UserError(f"{doubles[0]} is given twice")
    images: dict[str, Path] = {}
    known: dict[tuple[str, int], Path] = {}
    for folder in folders:
        found = read_run(folder)
        if found.missing:
            raise UserError(
                f"{folder} is not finished ({', '.join(found.missing)} is missing): run the same "
                "memtk bench command again"
            )
        images |= {result.data.fingerprint: folder for result in found.results}
        for result in found.results:
            key = (f"{result.cell} {signature(result)}", result.seed)
            if key in known:
                raise UserError(
                    f"{known[key]} and {folder} are the same run of {result.cell}, with the same "
                    "settings and seed: one of them is no further evidence. Leave one out."
                )
            known[key] = folder
    if len(images) > 1:
        first, second, *_ = images.values()
        raise UserError(
            f"{first} and {second} are of different images: their numbers cannot stand in one "
            "figure. Make a study of each."
        )
    return StudyFile(kind="iterations", runs=[str(folder) for folder in folders])


def _folders(run: Path) -> list[Path]:
    if not (run / STUDY).exists():
        return [run.absolute()]
    file = read_study_file(run)
    return [cell_folder(run, cell.name).absolute() for cell in file.cells] + [
        Path(folder) for folder in file.runs
    ]
