"""Where the tasks of a study run: in this process, in others, or as jobs of a cluster."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from memtk.config import parse_set
from memtk.errors import UserError
from memtk.files import explain, write_text
from memtk.interpreter import required_python
from memtk.registry import Registry
from memtk.results.store import read_record, write_record
from memtk.results.study import Failure, failure_path
from memtk.study.tasks import StudyDisplay, Task, attempt, is_finished

Where = Literal["slurm", "local"]

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Environment of a process that shares the machine with others: threads would only get in each
other's way."""

GENERIC = (
    *("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node"),
    *("tasks_per_node", "stderr_to_stdout"),
)
"""Parameters that submitit has for every executor."""

LONG = 60 * 24 * 30
"""Minutes that a job may take where nothing else was said, of submitit's local executor."""


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
    folder: Path, tasks: Sequence[Task], registry: Registry, display: StudyDisplay
) -> dict[str, str]:
    """Do the tasks one after another in this process; return what failed, by part."""
    failed: dict[str, str] = {}
    for task in tasks:
        begun = time.monotonic()
        display.started(task)
        failure = attempt(folder, task.kind, task.name, registry=registry, watch=display.inner)
        if failure is not None:
            failed[task.part] = failure
        display.ended(task, failure, time.monotonic() - begun)
    return failed


def run_elsewhere(
    folder: Path, tasks: Sequence[Task], launcher: Launcher, display: StudyDisplay
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
                display.started(task)
            for task, handle, begun in list(running.values()):
                if not handle.done():
                    continue
                del running[task.part]
                failure = _outcome(folder, task, handle, launcher.patience)
                if failure is not None:
                    failed[task.part] = failure
                display.ended(task, failure, time.monotonic() - begun)
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


class Processes:
    """Starts each task as a process that ends when this one does, however this one ends.

    Neither `concurrent.futures` nor submitit's local executor does that: a worker that is killed
    takes the tasks of all the others with it in the first, and the jobs of a killed parent go on,
    holding the folders of their runs, in the second.

    Args:
        width: processes at a time.
    """

    pause = 0.1
    """Seconds between two looks."""
    patience = 0.0
    """Seconds until what a task wrote is seen."""

    def __init__(self, folder: Path, width: int) -> None:
        self.width = width
        self._folder = folder
        self._python = required_python("a study")

    def start(self, task: Task) -> Running:
        """Start a task; what it writes goes to `logs/`.

        Raises:
            UserError: if the log cannot be written.
        """
        log = self._folder / "logs" / f"{task.part}.txt"
        with explain(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "ab") as file:
                command = [self._python, "-m", "memtk.worker", str(self._folder)]
                process = subprocess.Popen(
                    [*command, task.kind, task.name, str(os.getpid())],
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


class Job:
    """A task as submitit runs it. One that is preempted or out of time is queued again.

    Args:
        parent: the process without which it ends, on this machine; None on a cluster.
    """

    def __init__(self, parent: int | None = None) -> None:
        self.parent = parent

    def __call__(self, folder: str, kind: str, name: str) -> None:
        """Do the task; it goes on where an earlier job stopped."""
        if self.parent is not None:
            threading.Thread(target=_end_with, args=(self.parent,), daemon=True).start()
        attempt(Path(folder), kind, name)

    def checkpoint(self, folder: str, kind: str, name: str) -> Any:
        """Return what submitit queues when this job is taken off its node."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, folder, kind, name)


def _end_with(parent: int) -> None:
    """Wait for the end of a process, and end this one with all that it started."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        psutil.Process(parent).wait()
    here = psutil.Process()
    for process in (*here.children(recursive=True), here):
        with suppress(psutil.NoSuchProcess):
            process.kill()


class Cluster:
    """Hands tasks to submitit.

    Args:
        where: "slurm", or "local" for processes of this machine by submitit.
        width: jobs at a time.
        parameters: of the jobs, `partition`, `time`, `gpus_per_node`, `cpus_per_task`, `mem_gb` and
            whatever else submitit knows for SLURM.

    Raises:
        UserError: if submitit is missing, there is no SLURM, or a parameter is unknown.
    """

    def __init__(
        self, folder: Path, where: Where, width: int, parameters: Mapping[str, Any]
    ) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise UserError("--executor needs submitit: pip install submitit")
        import submitit

        here = where == "local"
        self.width, self.pause, self.patience = width, 0.1 if here else 2.0, 0.0 if here else 30.0
        self._folder, self._where = folder.absolute(), where
        self._parent = os.getpid() if here else None
        logs = self._folder / "logs" / "submitit"
        try:
            self._executor = submitit.AutoExecutor(folder=logs, cluster=where)
        except RuntimeError as error:
            raise UserError(
                f"--executor slurm: {error}.\nStart the study on a machine that has sbatch, or "
                "leave --executor out to run the cells here."
            ) from error
        given = {
            (key if key in GENERIC else f"slurm_{key}"): value for key, value in parameters.items()
        }
        if here:
            setup = [f"export {key}={value}" for key, value in ONE_THREAD.items()]
            given = {"timeout_min": LONG, "local_setup": setup} | given
        try:
            self._executor.update_parameters(**{"name": "memtk-study", **given})
        except (NameError, AssertionError, ValueError) as error:
            raise UserError(f"--slurm: {str(error).splitlines()[0]}") from error

    def start(self, task: Task) -> Submitted:
        """Hand over a task; one that an earlier call handed over and that is queued or running is
        taken up again.
        """
        note = self._folder / "jobs" / f"{task.part}.txt"
        if self._where == "slurm" and note.exists():
            job = self._known(note.read_text(encoding="utf-8").strip())
            if job is not None and not job.done():
                return Submitted(job, note)
        job = self._executor.submit(Job(self._parent), str(self._folder), task.kind, task.name)
        write_text(note, job.job_id)
        return Submitted(job, note)

    def _known(self, identity: str) -> Any:
        import submitit

        with suppress(ValueError, KeyError):
            return submitit.SlurmJob(folder=self._executor.folder, job_id=identity)
        return None


@dataclass(frozen=True)
class Submitted:
    """A job, and the file that remembers its number."""

    job: Any
    note: Path

    def done(self) -> bool:
        """Tell whether it has ended."""
        return bool(self.job.done())

    def ending(self) -> str:
        """Say how it ended, for a task that left neither a result nor a failure."""
        return f"job {self.job.job_id} ended as {self.job.state}, see {self.job.paths.stderr}"

    def stop(self) -> None:
        """Take it off the machine or out of the queue."""
        self.job.cancel(check=False)


def parse_parameters(texts: tuple[str, ...]) -> dict[str, Any]:
    """Turn texts `KEY=VALUE` of `--slurm` into parameters.

    >>> parse_parameters(("partition=gpu", "gpus_per_node=1"))
    {'partition': 'gpu', 'gpus_per_node': 1}

    Raises:
        UserError: for a text without `=`, naming it.
    """
    found: dict[str, Any] = {}
    for text in texts:
        if "=" not in text or "." in text.partition("=")[0]:
            raise UserError(f"--slurm {text!r}: write it as KEY=VALUE, e.g. partition=gpu")
        found |= parse_set(text)
    return found
