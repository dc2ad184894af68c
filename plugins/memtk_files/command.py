"""Any command that writes images as a generator: a container, a client of a service, a script."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from filelock import FileLock
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from memtk.data.readers import Readers
from memtk.errors import UserError, did_you_mean, many, printable
from memtk.files import explain
from memtk.interfaces import Generator, ImageSpec, Phase, Record
from memtk.interpreter import required_python
from memtk.noise import Noise, derive
from memtk.registry import open_registry
from memtk_files.images import AS_THE_DATA, Preparation, PreparationConfig, contents_of, list_images

PLACEHOLDERS = ("folder", "count", "seed", "first")
"""What stands in braces in a command, and is filled in for each call."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


ESCAPE = "" if os.name == "nt" else "\\"
"""What takes the next sign of a command as it stands; backslashes part folders on Windows."""


def words_of(run: str) -> list[str]:
    """Take a command apart as shells do.

    >>> words_of("draw.py --to '{folder}/a b' {seed}")
    ['draw.py', '--to', '{folder}/a b', '{seed}']
    """
    reader = shlex.shlex(run, posix=True)
    reader.whitespace_split, reader.commenters, reader.escape = True, "", ESCAPE
    return list(reader)


class CommandConfig(PreparationConfig):
    """Which command, and what is done to its images: the same as to the run's images."""

    run: str = Field(
        ...,
        min_length=1,
        description="the command, as it is typed but without a shell. {folder}: the empty folder "
        "to write to; {count}: how many images; {seed}: another number below 2^31 for each call; "
        "{first}: the number of its first image",
    )
    folder: str = Field(
        ..., min_length=1, description="where its images are kept; what is there is not made again"
    )
    count: int = Field(64, ge=1, description="images of a call")
    timeout: float | None = Field(None, gt=0, description="seconds a call may take; none: any")

    @field_validator("run")
    @classmethod
    def _can_be_called(cls, run: str) -> str:
        words = words_of(run)
        names = {name for word in words for name in _PLACEHOLDER.findall(word)}
        for name in sorted(names - set(PLACEHOLDERS)):
            raise ValueError(
                f"there is no {{{name}}}, only {', '.join(f'{{{p}}}' for p in PLACEHOLDERS)}."
                f"{did_you_mean(name, PLACEHOLDERS)}"
            )
        if "folder" not in names:
            raise ValueError("{folder} is needed, the folder that the command writes to")
        if not names & {"seed", "first"}:
            raise ValueError(
                "{seed} (or {first}) is needed: without it each call would make the same images"
            )
        if shutil.which(words[0]) is None:
            raise ValueError(f"there is no program {words[0]} that could be run")
        return run

    @model_validator(mode="after")
    def _as_data(self) -> CommandConfig:
        """Refuse what the settings of the data refuse."""
        self.as_data(self.folder)
        return self

    def words(self) -> list[str]:
        """Return program and arguments as they are written, `{seed}` and the like not filled in."""
        return words_of(self.run)


class Command(Generator):
    """Runs a command for each `count` images, and reads what it wrote.

    Image i comes from call `i // count`, whose seed follows from the run's; so the last call may
    make more than are taken. What a call wrote is checked (as many images as were asked, each
    readable, finite, of the run's shape and range, not those of another call) and kept in `folder`,
    under a hash of the command: a run that was stopped goes on with the next call. The command is
    not trained, is no part of a checkpoint, and is trusted: it does what you may do.

    Class attributes:
        as_the_data: settings that must be what those of the data are.
    """

    Config = CommandConfig
    config: CommandConfig
    as_the_data: ClassVar[tuple[str, ...]] = AS_THE_DATA

    def __init__(self, config: CommandConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self._readers = Readers(open_registry())
        self._preparation = Preparation(config, spec, "command", self._readers)
        self._calls: dict[tuple[int, int], tuple[Record, ...]] = {}
        made = hashlib.sha256(f"{config.count} {config.words()}".encode()).hexdigest()[:12]
        self._place = Path(config.folder).expanduser().absolute() / made

    def phases(self) -> tuple[Phase, ...]:
        """Return none: it comes trained."""
        return ()

    def dry_run(self) -> str:
        """Say what would be run, for the plan of a dry run."""
        words = self._filled({"count": self.config.count})
        each = many(self.config.count, "image")
        return f"command runs, once for each {each}: {shlex.join(words)}"

    def sample(self, noise: Noise) -> Tensor:
        """Return images (B, C, *S) in [-1, 1], by the indices of `noise`.

        Raises:
            UserError: if a call fails, takes too long, or wrote something else than was asked.
        """
        rows = []
        for index in noise.indices:
            call, place = divmod(index, self.config.count)
            rows.append(self._preparation.read(self._made(noise.seed, call)[place]))
        empty = torch.empty(0, self.spec.channels, *self.spec.shape)
        return (torch.stack(rows) if rows else empty).to(noise.device)

    def _made(self, seed: int, call: int) -> tuple[Record, ...]:
        """Return the images of a call, which is made unless it was before."""
        if (seed, call) not in self._calls:
            series = self._place / f"{seed:016x}"
            with explain(series):
                series.mkdir(parents=True, exist_ok=True)
            kept = series / f"{call:05d}"
            with FileLock(series / ".lock"):  # another process may be at it
                if not kept.is_dir():
                    self._make(kept, seed, call)
            self._calls[seed, call] = list_images(str(kept), self._readers)
            self._count(self._calls[seed, call], kept)
        return self._calls[seed, call]

    def _make(self, kept: Path, seed: int, call: int) -> None:
        # A name of its own: a command that outlived a killed memtk may still write to another one.
        folder = kept.with_name(f"{kept.name}.{uuid.uuid4().hex[:8]}.partial")
        with explain(folder):
            folder.mkdir()
        values = {
            "folder": folder,
            "count": self.config.count,
            "seed": derive(seed, "command", call) % 2**31,
            "first": call * self.config.count,
        }
        _run(self._filled(values), kept.with_suffix(".log"), self.config.timeout)
        records = self._found(folder)
        for record in records:
            self._preparation.read(record)
        others = (p for p in sorted(kept.parent.parent.glob("*/*")) if re.fullmatch(r"\d+", p.name))
        for other in list(others)[:1]:
            if contents_of(list_images(str(other), self._readers)) == contents_of(records):
                raise UserError(
                    f"the command wrote the images of {other} once more to {folder}, though it was "
                    "given another {seed}: does it use it?"
                )
        with explain(kept):
            os.rename(folder, kept)

    def _found(self, folder: Path) -> tuple[Record, ...]:
        if not any(folder.iterdir()):
            raise UserError(
                f"the command ended well and wrote nothing to {folder}: images must be right in "
                "{folder}, and in a container that folder must be mounted"
            )
        records = list_images(str(folder), self._readers)
        self._count(records, folder)
        return records

    def _count(self, records: Sequence[Record], folder: Path) -> None:
        if len(records) != self.config.count:
            raise UserError(
                f"{folder} holds {many(len(records), 'image')}, and {self.config.count} "
                f"{'was' if self.config.count == 1 else 'were'} asked "
                "({count}): if a call makes another number, say --set command.count=NUMBER"
            )

    def _filled(self, values: Mapping[str, Any]) -> list[str]:
        """Return program and arguments with the values that are given in place of their names."""

        def value(match: re.Match[str]) -> str:
            return str(values.get(match[1], match[0]))

        return [_PLACEHOLDER.sub(value, word) for word in self.config.words()]


def _run(words: Sequence[str], log: Path, timeout: float | None) -> None:
    """Run a command to its end, with what it says in `log`.

    Raises:
        UserError: if it cannot be started, fails, or takes too long; then it was ended.
    """
    attended = [required_python("the generator command"), "-m", "memtk_files.attended", *words]
    with explain(log), log.open("wb") as said:
        process = subprocess.Popen(
            attended,
            stdin=subprocess.PIPE,  # closes when this process is gone, and the command ends
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise UserError(
                f"the command was ended after {timeout:g} seconds: {shlex.join(words)}\n"
                f"{_last_words(log)}Give it longer with --set command.timeout=SECONDS."
            ) from error
        except BaseException:
            _end(process)
            raise
        _end(process)
    if code:
        why = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
        raise UserError(f"the command {why}: {shlex.join(words)}\n{_last_words(log).rstrip()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the command be ended, and wait until it is."""
    if process.stdin:
        process.stdin.close()
    process.wait()


def _last_words(log: Path) -> str:
    """Return the end of what a command said, and where all of it is."""
    text = log.read_bytes()[-2000:].decode(errors="replace").strip()
    lines = [printable(line)[:200] for line in text.splitlines()[-3:]]
    return "".join(f"  {line}\n" for line in lines) + f"All that it said is in {log}.\n"
