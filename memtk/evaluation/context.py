"""The run folder, what every stage of a run needs at hand, and the one way to open a run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from memtk.components import ConfiguredComponent
from memtk.config import differing
from memtk.data.config import DataConfig
from memtk.data.prepare import Dataset, Look, prepare
from memtk.errors import UserError
from memtk.events import Watch, ignore
from memtk.files import FULL, explain, read_plain, write_text
from memtk.folders import claim, kind_of, remove, sweep, working_in
from memtk.interfaces import ImageSpec
from memtk.noise import derive, seeded
from memtk.registry import Registry
from memtk.results import RunFile, kept_verdict, read_run_file, write_run_file
from memtk.results.store import Seconds
from memtk.training.devices import Devices

_CONTENTS = (
    *("timing.json", "key", "data", "embedder", "extractor", "exposure", "cells", "arrays.h5"),
    *("calibration.h5", "audit.json", "copies.csv", "exposed.csv", "selftest.json", "release"),
    *("report.html", "run.json"),
)
_WORK = (
    *("embedder", "extractor", "exposure", "cells", "arrays.h5", "calibration.h5"),
    *("audit.json", "selftest.json", "release"),
)
"""What a run leaves that is worth something; before there is any, it has only been refused."""


def named_folder(name: str, identity: Mapping[str, Any]) -> Path:
    """Return `runs/NAME-KEY`; the key stands for the identity."""
    text = json.dumps(identity, sort_keys=True)
    return Path("runs") / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check_apart(folder: Path, sources: Iterable[str]) -> None:
    """See that a run does not write among the images: it would read its own files as images.

    Args:
        sources: of its images, whichever of them are folders.

    Raises:
        UserError: if the run's folder is one of them or lies in one.
    """
    for source in sources:
        if Path(source).is_dir() and Path(os.path.realpath(folder)).is_relative_to(
            os.path.realpath(source)
        ):
            raise UserError(
                f"{folder} lies among the images in {source}, and would be read as some of them: "
                "choose another folder with --out"
            )


def open_run(folder: Path, identity: Mapping[str, Any], cells: list[str], *, resume: bool) -> None:
    """Make the folder of a run, or go on in it.

    Args:
        identity: all that the numbers depend on, `Plan.identity()`.
        cells: the names of its cells.
        resume: False throws away what is there, but for the first verdict on the same images.

    Raises:
        UserError: if it holds another run, naming what differs, or things that memtk did not write.
    """
    claim(folder)
    sweep(folder)
    if (folder / "run.json").exists() and resume:
        found = differing(read_run_file(folder).recipe, identity)
        if found and any((folder / name).exists() for name in _WORK):
            changed = [_change(*each) for each in found]
            more = f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
            raise UserError(
                f"{folder} holds another run: {'; '.join(changed[:4])}{more}.\n"
                "Choose another folder with --out, or throw that run away with --no-resume."
            )
        if not found:
            with suppress(OSError):  # runs of older versions; a file system without modes
                (folder / "key").chmod(0o600)
            return  # and what was refused before any work is forgotten
    first = kept_verdict(folder, identity) if (folder / "run.json").exists() else None
    remove(folder, _CONTENTS)  # run.json last: without it, nothing here is taken for a run's
    write_text(folder / "key", _new_key(folder), private=True)
    write_run_file(folder, RunFile(recipe=dict(identity), cells=cells, first_verdict=first))


def _change(key: str, old: Any, new: Any) -> str:
    """Return in a few words what became of a key of a recipe, without whole tables of settings."""
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        return f"{key} is {'new' if old is None else 'gone' if new is None else 'another'}"
    was, now = (f"{text[:120]}{'...' if text[120:] else ''}" for text in map(str, (old, new)))
    return f"{key} was {was}, now {now}"


def _new_key(folder: Path) -> str:
    """Return the key of a run: of the second audit of a release one that follows from the first's.

    So a release that was killed and begun again calls its images what an undisturbed one does.
    """
    home = folder.absolute().parent
    if kind_of(home) == "release" and (home / "key").is_file():
        key = (home / "key").read_text(encoding="ascii", errors="replace")
        return hashlib.sha256(f"{folder.name} of {key}".encode()).hexdigest()
    return secrets.token_hex(32)


T = TypeVar("T")


class StageTimer:
    """Adds up the seconds of each stage in a JSON file, without those of the stages within it.

    Args:
        path: the file; None keeps nothing (other processes than the first).
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seconds = self.kept(path) if path else {}
        self._open: list[tuple[str, list[float]]] = []

    @staticmethod
    def kept(path: Path) -> dict[str, float]:
        """Return the seconds in a file, none where it cannot be read: times are not worth a run."""
        try:
            return TypeAdapter(dict[str, Seconds]).validate_json(read_plain(path))
        except (OSError, ValueError, UserError):
            return {}

    @contextmanager
    def __call__(self, stage: str, name: str | None = None) -> Iterator[None]:
        """Time a block as (a part of) a stage; what a failed block took is not lost.

        Args:
            name: whose stage it is, such as a cell's; None: that of the stage around it.
        """
        whose = name if name is not None else self._open[-1][0] if self._open else ""
        within: list[float] = []
        self._open.append((whose, within))
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._open.pop()
            if self._open:
                self._open[-1][1].append(spent)
            with contextlib.suppress(UserError):  # what fills the disk is told of where it matters
                self._add(self.key(stage, whose), spent - sum(within))

    def _add(self, key: str, spent: float) -> None:
        self._seconds[key] = round(self._seconds.get(key, 0.0) + spent, 3)
        if self._path:
            write_text(self._path, json.dumps(self._seconds, indent=1))

    @staticmethod
    def key(stage: str, name: str = "") -> str:
        """Return under what the seconds of a stage are kept: "train: monai2d"."""
        return f"{stage}: {name}" if name else stage

    def of(self, *names: str) -> dict[str, float]:
        """Return the seconds of the stages of these names; "" names those of the whole run."""
        return {key: s for key, s in self._seconds.items() if key.partition(": ")[2] in names}


@dataclass(frozen=True)
class Computation:
    """Where and how something is computed, and from which seed.

    Args:
        root: the seed.
        batch_size: images sampled or embedded at a time.
    """

    devices: Devices
    folder: Path
    timer: StageTimer
    watch: Watch
    root: int
    batch_size: int

    def seed(self, *keys: object) -> int:
        """Return the seed of one part of the run."""
        return derive(self.root, *keys)

    def make(self, part: ConfiguredComponent, spec: ImageSpec, name: str) -> Any:
        """Construct a model whose first weights depend on the run's seed and `name` alone."""
        with seeded(self.seed("weights", name)):
            return part.make(spec)


@dataclass(frozen=True)
class Context(Computation):
    """A run: where and how it is computed, and on which data."""

    dataset: Dataset


@dataclass(frozen=True)
class RunFolder:
    """Where a run lies, what it is, and who is told of it.

    Args:
        identity: all that the numbers depend on; a folder that holds another one is refused.
        sources: of the images; the run must not write among them.
        cells: the names of its cells, of a bench.
        resume: False throws away what an earlier run left in the folder.
        watch: told of all that happens, on the first process.
    """

    path: Path
    identity: Mapping[str, Any]
    sources: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    resume: bool = True
    watch: Watch = ignore

    def work(
        self, devices: Devices, work: Callable[[Watch], T], finish: Callable[[T], Any]
    ) -> tuple[T, Any] | None:
        """Do the work in every process, while the first one holds the folder.

        Args:
            work: what all of them do; the watch of the others is told to nobody.
            finish: what the first process does with the outcome, such as the report.

        Returns:
            What `work` and `finish` gave; None on all processes but the first.

        Raises:
            UserError: if the folder is in use, holds another run or lies among the images.
        """
        check_apart(self.path, self.sources)
        if not devices.is_main:
            devices.wait()
            work(ignore)
            return None
        with working_in(self.path), explain(self.path, FULL):
            open_run(self.path, self.identity, list(self.cells), resume=self.resume)
            devices.wait()
            done = work(self.watch)
            return done, finish(done)


def open_context(
    folder: Path,
    devices: Devices,
    watch: Watch,
    read: Callable[[], Dataset],
    *,
    seed: int,
    batch_size: int,
) -> Context:
    """Read the images of a run that is open in `folder`, by `read`; see `prepared`."""
    timer = StageTimer(folder / "timing.json" if devices.is_main else None)
    with timer("read"):
        dataset = read()
    return Context(devices, folder, timer, watch, seed, batch_size, dataset)


def prepared(
    data: DataConfig,
    registry: Registry,
    folder: Path,
    devices: Devices,
    watch: Watch,
    look: Look | None = None,
) -> Dataset:
    """Read the images on the first process; the others open what it wrote.

    Args:
        look: see `memtk.data.prepare.prepare`.

    Raises:
        UserError: if the images are not those that the run began with, or a split is empty.
    """
    if devices.is_main:
        made = prepare(data, folder / "data", registry, watch, workers=devices.workers, look=look)
        if any(path != made.path for path in (folder / "data").glob("*.h5")):
            made.path.unlink()
            raise UserError(
                f"the images have changed since the run in {folder} began.\n"
                "Choose another folder with --out, or throw that run away with --no-resume."
            )
    devices.wait()
    dataset = prepare(data, folder / "data", registry, look=look)
    for split in ("training", "validation"):
        if not len(dataset.split(split)):
            raise UserError(f"the data have no {split} images: mark some in the manifest's split")
    return dataset
