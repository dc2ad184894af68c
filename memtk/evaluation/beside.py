"""A copy detector that is trained by a process of its own, while this one trains another."""

from __future__ import annotations

import multiprocessing
import pickle
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self

import torch

from memtk.components import ConfiguredComponent
from memtk.evaluation.context import Computation, Context, StageTimer
from memtk.evaluation.detector import Detector
from memtk.events import Event, Watch
from memtk.interfaces import Images
from memtk.interpreter import python
from memtk.prefetch import apart, end_with_the_parent
from memtk.training.devices import one_process

PAYS = 20.0
"""Seconds that are left of the first training: the process takes several to begin."""


class Beside:
    """Trains a detector in a process of its own once another training is seen to take long.

    Small networks gain next to nothing from a second core, so on a CPU both trainings get half of
    the threads, whether the process is started or not: the numbers do not depend on it. What it
    leaves in its folder is what `Detector` would have left; where it cannot be started or fails,
    `Detector` trains all that is missing, and says what is wrong.

    Args:
        context: of the run. No process is started on a GPU, among several processes, with one
            thread, or where `--workers` allows one.
        images: what the second detector is trained on.
    """

    def __init__(
        self, context: Context, part: ConfiguredComponent, images: Images, place: Path, name: str
    ) -> None:
        self._context, self._process, self._threads = context, None, torch.get_num_threads()
        devices, self._told = context.devices, None
        self._alone = devices.world == 1 and devices.device.type == "cpu" and self._threads > 1
        self._job: tuple[Any, ...] = (part, images, place, name, context.root, context.batch_size)
        self._decided = not self._alone or devices.workers < 2
        self._began: tuple[float, int] | None = None

    _process: BaseProcess | None
    _told: Connection | None

    def __enter__(self) -> Self:
        if self._alone:
            torch.set_num_threads(self._threads // 2)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.is_alive():
            self._process.terminate()
            self._process.join()
        torch.set_num_threads(self._threads)

    def first(self) -> Context:
        """Return the context to train the first detector in."""
        return replace(self._context, watch=self._watch)

    def second(self) -> Context:
        """Wait for the process, where there is one; return the context for the second detector."""
        self._decided = True
        if self._process is None or self._told is None:
            return self._context
        with self._context.timer("train embedder"):
            with suppress(EOFError, OSError):  # the end, or that of one that was killed
                while True:
                    self._context.watch(self._told.recv())
            self._process.join()
        return replace(self._context, watch=_without_skips(self._context.watch))

    def _watch(self, event: Event) -> None:
        """Start the process once what is left of a training takes longer than `PAYS`."""
        self._context.watch(event)
        if self._decided or event.kind != "step":
            return
        now = time.monotonic()
        if self._began is None:  # the first step begins more than itself
            self._began = now, event.step
            return
        taken, steps = now - self._began[0], event.step - self._began[1]
        if steps and taken * (event.total - event.step) / steps > PAYS:
            self._decided = True
            if python() is not None:
                self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._told, told = spawn.Pipe(duplex=False)
        arguments = (*self._job, self._threads // 2, told)
        process = spawn.Process(target=_train, args=arguments, daemon=True)
        with (
            suppress(pickle.PicklingError, AttributeError, TypeError),  # a class of a notebook
            apart(),
            told,  # which the process alone holds: it is closed where that ends
        ):
            process.start()
            self._process = process


def _without_skips(watch: Watch) -> Watch:
    """Return a watch that does not hear of what was finished before: the process told of it."""
    return lambda event: None if event.kind == "skip" else watch(event)


def _train(
    part: ConfiguredComponent,
    images: Images,
    place: Path,
    name: str,
    root: int,
    batch_size: int,
    threads: int,
    told: Connection,
) -> None:
    """Train a detector: what the process does."""
    end_with_the_parent()
    torch.set_num_threads(threads)
    events = SimpleQueue[Event | None]()
    teller = Thread(target=_tell, args=(events, told), daemon=True)  # who hears is busy for long
    teller.start()
    run = Computation(one_process("cpu"), place, StageTimer(None), events.put, root, batch_size)
    with suppress(Exception):  # who goes on with it fails in the same way, and says so
        Detector(run, part, images, place, name)
    events.put(None)
    teller.join()


def _tell(events: SimpleQueue[Event | None], told: Connection) -> None:
    with told, suppress(OSError):
        while (event := events.get()) is not None:
            told.send(event)
