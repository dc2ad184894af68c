"""Runs a study: what its cells share, then the cells, then the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memtk.bench.folder import named_folder
from memtk.errors import UserError
from memtk.files import FULL, explain, working_in
from memtk.registry import Registry
from memtk.report.study import build_study_report
from memtk.results.store import write_record
from memtk.results.study import (
    Failure,
    Study,
    StudyFile,
    failure_path,
    read_study,
)
from memtk.study.board import Board
from memtk.study.cluster import Cluster
from memtk.study.folder import open_study
from memtk.study.plan import StudyPlan
from memtk.study.processes import Processes
from memtk.study.schedule import Launcher, run_elsewhere, run_here
from memtk.study.tasks import Task, is_finished, needed, stages

Executor = Literal["here", "local", "slurm"]


@dataclass(frozen=True)
class FinishedStudy:
    """What a study leaves behind.

    Args:
        study: with its findings, what is missing and what failed.
        report: the page; None if no cell is finished.
    """

    study: Study
    report: Path | None


def run_study(
    plan: StudyPlan,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    executor: Executor = "here",
    parameters: Mapping[str, Any] | None = None,
    resume: bool = True,
    board: Board | None = None,
) -> FinishedStudy:
    """Run every cell that is not finished yet, and make the report.

    Args:
        out: the study's folder; by default one that its settings determine.
        device: of each cell.
        jobs: cells at a time: 1 here, 1 of submitit's local executor, all on SLURM, by default.
            More than one here are processes of one thread each.
        executor: "here", or submitit's "local" or "slurm".
        parameters: of submitit's jobs.
        resume: False throws away what is there.
        board: told of all that happens.

    Raises:
        UserError: for a folder that cannot be used, and if the images cannot be read: then no
            cell could be run.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "memtk study starts its cells itself: run it without accelerate or torchrun, and say "
            "--jobs or --executor"
        )
    folder, board = out or plan.default_folder(), board or Board()
    with working_in(folder), explain(folder, FULL):
        file = open_study(folder, plan.file(device), resume=resume)
        launcher = _launcher(folder, executor, jobs, parameters or {}, len(file.cells))
        _run(folder, file, registry, launcher, board)
        return _report(folder)


def study_runs(file: StudyFile, *, out: Path | None = None, resume: bool = True) -> FinishedStudy:
    """Make the report of runs that are there: see `memtk.study.given.study_of_runs`.

    Raises:
        UserError: for a folder that cannot be used.
    """
    folder = out or named_folder("study-iterations", {"runs": file.runs})
    with working_in(folder):
        open_study(folder, file, resume=resume)
        return _report(folder)


def _report(folder: Path) -> FinishedStudy:
    study = read_study(folder)
    report = build_study_report(folder) if study.findings else None
    return FinishedStudy(study, report)


def check_way(executor: Executor, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a cluster's jobs where there are none.

    Raises:
        UserError: with the way out.
    """
    if executor == "here" and parameters:
        raise UserError("--slurm goes with --executor slurm, or --executor local to try it here")


def _launcher(
    folder: Path, executor: Executor, jobs: int | None, parameters: Mapping[str, Any], cells: int
) -> Launcher | None:
    check_way(executor, parameters)
    if executor != "here":
        width = jobs or (1 if executor == "local" else max(1, cells))
        return Cluster(folder, executor, width, parameters)
    return Processes(folder, jobs) if jobs and jobs > 1 else None


def _run(
    folder: Path, file: StudyFile, registry: Registry, launcher: Launcher | None, board: Board
) -> None:
    failed: dict[str, str] = {}
    for stage in stages(file):
        cells = [t.cell for t in stages(file)[2] if not is_finished(folder, t)]
        wanted = needed(folder, stage, cells)
        tasks = [task for task in wanted if not _hopeless(folder, task, failed)]
        if not tasks:
            continue
        kind = tasks[0].kind
        width = launcher.width if launcher else 1
        board.stage(kind, len(stage), len(stage) - len(wanted), width)
        if launcher is None:
            lost = run_here(folder, tasks, registry, board)
        else:
            lost = run_elsewhere(folder, tasks, launcher, board)
        if kind == "images" and len(lost) == len(stage):
            raise UserError(next(iter(lost.values())))
        failed |= lost


def _hopeless(folder: Path, task: Task, failed: Mapping[str, str]) -> bool:
    """Tell whether something that the task needs has failed, and write that down."""
    needs = [f"images-{task.cell.images}"]
    needs += [f"detector-{task.cell.detector}"] if task.kind == "cell" else []
    for part in needs:
        if part in failed:
            write_record(failure_path(folder, task.part), Failure(message=failed[part]))
            return True
    return False
