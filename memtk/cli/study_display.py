"""Shows a study: its cells with the time left, and what goes on inside the one that runs here."""

from __future__ import annotations

import time

from rich.console import Console

from memtk.console import column
from memtk.errors import many
from memtk.events import Event
from memtk.plugins import Host
from memtk.progress import Bar, Progress
from memtk.results.formats import about_time
from memtk.study import StudyDisplay, Task

_NAMES = {"images": "reading images", "detector": "copy detectors", "cell": "cells"}


class TerminalDisplay(Bar, StudyDisplay):
    """Watches a study on a terminal, or line by line where there is none. A context manager.

    Args:
        host: its plugins are told of what happens inside tasks of this process.
    """

    def __init__(self, console: Console, host: Host) -> None:
        left, inside = column("{task.fields[left]}"), column("{task.fields[inside]}", "dim")
        super().__init__(console, left, inside)
        self._quiet = Progress(Console(quiet=True), host)  # tells the plugins
        self._running: dict[str, float] = {}
        self._kind, self._total, self._done, self._width = "", 0, 0, 1
        self._spent: list[float] = []

    def stage(self, kind: str, total: int, finished: int, width: int) -> None:
        """Begin a bar for the tasks of one kind."""
        self._kind, self._total, self._done, self._width = kind, total, finished, width
        self._spent, self._running = [], {}
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(
            _NAMES[kind], total=total, completed=finished, left="", inside=""
        )
        if finished and kind == "cell":
            self._say(f"✓ {finished} of {many(total, 'cell')} (done earlier)", "dim")

    def started(self, task: Task) -> None:
        """Name what is running."""
        self._running[task.part] = time.monotonic()
        self._show(", ".join(self._running))

    def inner(self, event: Event) -> None:
        """Show what goes on inside the task of this process, and tell the plugins."""
        self._quiet(event)
        if event.kind == "note":
            self._say(f"note: {event.text}", "yellow")
        elif event.kind in ("start", "step"):
            steps = f" {event.step}/{event.total}" if event.total else ""
            self._show(f"{', '.join(self._running)}: {event.stage}{steps}")

    def ended(self, task: Task, failure: str | None, seconds: float) -> None:
        """Say how a task ended; a line for each."""
        self._running.pop(task.part, None)
        self._done += 1
        number = f"{self._done}/{self._total}"
        if failure is not None:
            self._say(f"✗ {number} {task.part}: {failure.splitlines()[0]}", "red")
        else:
            self._spent.append(seconds)
            left = self._left()
            after = f", about {left} left" if left else ""
            if task.kind == "cell":
                self._say(f"✓ {number} {task.part} ({about_time(seconds)}{after})", "green")
            elif task.kind == "detector":
                self._say(f"✓ copy detector {number} ({about_time(seconds)})", "green")
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, left=self._left())
        self._show(", ".join(self._running))

    def _left(self) -> str:
        """Return the time that is left of this stage, by the mean of what is done."""
        waiting = self._total - self._done
        if not self._spent or not waiting:
            return ""
        mean = sum(self._spent) / len(self._spent)
        now = time.monotonic()
        begun = sum(min(now - start, mean) for start in self._running.values())
        width = min(self._width, waiting)
        return about_time(max(0.0, (waiting * mean - begun) / width))

    def _show(self, inside: str) -> None:
        if self._task is not None and self.console.is_terminal:
            self._bar.update(self._task, inside=inside, left=self._left())
