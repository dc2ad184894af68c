"""Tasks as jobs of a SLURM cluster, or of submitit's local executor, which is used like one."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memtk.config import parse_set
from memtk.errors import UserError
from memtk.files import write_text
from memtk.study.processes import ONE_THREAD
from memtk.study.tasks import Task

Where = Literal["slurm", "local"]

GENERIC = (
    *("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node"),
    *("tasks_per_node", "stderr_to_stdout"),
)
"""Parameters that submitit has for every executor."""

LONG = 60 * 24 * 30
"""Minutes that a job may take where nothing else was said, of submitit's local executor."""


class Job:
    """A task as submitit runs it. One that is preempted or out of time is queued again."""

    def __call__(self, folder: str, kind: str, name: str) -> None:
        """Do the task; it goes on where an earlier job stopped."""
        from memtk.study.work import attempt

        attempt(Path(folder), kind, name)

    def checkpoint(self, folder: str, kind: str, name: str) -> Any:
        """Return what submitit queues when this job is taken off its node."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, folder, kind, name)


class Cluster:
    """Hands tasks to submitit.

    Args:
        folder: of the study.
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
        job = self._executor.submit(Job(), str(self._folder), task.kind, task.name)
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
