"""Runs tasks, some at a time; one that fails does not lose the others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from memtk.registry import Registry
from memtk.results.store import read_record, write_record
from memtk.results.study import Failure, failure_path
from memtk.study.board import Board
from memtk.study.tasks import Task, is_finished
from memtk.study.work import attempt


class Handle(Protocol):
    """A task that was started elsewhere."""

    def done(self) -> bool:
        """Tell whether it has ended."""

    def ending(self) -> str:
        """Say how it ended, for one that left neither a result nor a failure."""

    def stop(self) -> None:
        """End it."""


class Launcher(Protocol):
    """Starts tasks elsewhere."""

    width: int
    pause: float
    patience: float

    def start(self, task: Task) -> Handle:
        """Start a task."""


def run_here(
    folder: Path, tasks: Sequence[Task], registry: Registry, board: Board
) -> dict[str, str]:
    """Do the tasks one after another in this process; return what failed, by part."""
    failed: dict[str, str] = {}
    for task in tasks:
        begun = time.monotonic()
        board.started(task)
        failure = attempt(folder, task.kind, task.name, registry=registry, watch=board.inner)
        if failure is not None:
            failed[task.part] = failure
        board.ended(task, failure, time.monotonic() - begun)
    return failed


def run_elsewhere(
    folder: Path, tasks: Sequence[Task], launcher: Launcher, board: Board
) -> dict[str, str]:
    """Start the tasks, `launcher.width` at a time, and wait for all; return what failed, by part.

    If this is stopped, what it started is stopped too.
    """
    failed: dict[str, str] = {}
    waiting, running = deque(tasks), dict[str, tuple[Task, Handle, float]]()
    try:
        while waiting or running:
            while waiting and len(running) < launcher.width:
                task = waiting.popleft()
                failure_path(folder, task.part).unlink(missing_ok=True)
                running[task.part] = (task, launcher.start(task), time.monotonic())
                board.started(task)
            for task, handle, begun in list(running.values()):
                if not handle.done():
                    continue
                del running[task.part]
                failure = _outcome(folder, task, handle, launcher.patience)
                if failure is not None:
                    failed[task.part] = failure
                board.ended(task, failure, time.monotonic() - begun)
            if running:
                time.sleep(launcher.pause)
    finally:
        for _, handle, _ in running.values():
            handle.stop()
    return failed


def _outcome(folder: Path, task: Task, handle: Handle, patience: float) -> str | None:
    place = failure_path(folder, task.part)
    until = time.monotonic() + patience
    while not is_finished(folder, task) and not place.exists() and time.monotonic() < until:
        time.sleep(0.2)  # a file of another machine may be seen a little later than its end
    if is_finished(folder, task):
        return None
    if not place.exists():
        write_record(place, Failure(message=handle.ending()))
    return read_record(place, Failure).message
