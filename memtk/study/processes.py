"""Tasks in processes of this machine, one thread each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memtk.files import explain
from memtk.study.tasks import Task

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Environment of a process that shares the machine with others: threads would only get in each
other's way."""


class Processes:
    """Starts each task as a process that ends when this one does.

    Args:
        folder: of the study.
        width: processes at a time.
    """

    pause = 0.1
    """Seconds between two looks."""
    patience = 0.0
    """Seconds until what a task wrote is seen."""

    def __init__(self, folder: Path, width: int) -> None:
        self.width = width
        self._folder = folder

    def start(self, task: Task) -> Running:
        """Start a task; what it writes goes to `logs/`.

        Raises:
            UserError: if the log cannot be written.
        """
        log = self._folder / "logs" / f"{task.part}.txt"
        with explain(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "ab") as file:
                command = [sys.executable, "-m", "memtk.study", str(self._folder)]
                process = subprocess.Popen(
                    [*command, task.kind, task.name],
                    stdin=subprocess.PIPE,  # closes when this process is gone, however it went
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=os.environ | ONE_THREAD,
                )
        return Running(process, log)


@dataclass(frozen=True)
class Running:
    """A process and where it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def done(self) -> bool:
        """Tell whether it has ended."""
        return self.process.poll() is not None

    def ending(self) -> str:
        """Say how it ended, for a task that left neither a result nor a failure."""
        code = self.process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"its process ended with {how}{_last_words(self.log)}, see {self.log}"

    def stop(self) -> None:
        """End it; a killed run goes on with the next call."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


def _last_words(log: Path) -> str:
    """Return the last line of a log, which mostly says what happened."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f" ({said[-1][:200]})" if said else ""
