"""A training that was stopped goes on as if it had not been."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.events import Event
from memtk.interfaces import Phase, Trainable
from memtk.testing.case import Case
from memtk.testing.verdict import applies, expect
from memtk.training.devices import open_devices
from memtk.training.loop import train

STEPS = 2
"""Steps of each phase, whatever its settings say."""


class _Killed(Exception):
    """Ends a training from outside, at a stage and a step of it."""


def check_stopping_and_resuming_changes_nothing(case: Case) -> None:
    """A training that is killed twice in every phase ends as one that never was."""
    whole = _shortened(case.make())
    applies(bool(whole.phases()), "it comes trained: it has no phases")
    images, killed = MemoryImages(case.x), set[tuple[str, int]]()
    with tempfile.TemporaryDirectory() as folder:
        _train(whole, images, Path(folder), None)
    with tempfile.TemporaryDirectory() as folder:
        finished = False
        while not finished:
            model = _shortened(case.make())  # another process begins with a fresh instance
            finished = _train(model, images, Path(folder), killed)
    found = model.state_dict()
    for name, value in whole.state_dict().items():
        expect(
            _same(value, found.get(name)),
            f"{case.cls.__name__} ends with another {name!r} when its training is stopped and "
            "gone on with: what a step needs must be a parameter or a buffer",
        )


def _shortened(model: Trainable) -> Trainable:
    whole = model.phases

    def phases() -> tuple[Phase, ...]:
        short = {"steps": STEPS}
        return tuple(
            replace(phase, settings=phase.settings.model_copy(update=short)) for phase in whole()
        )

    model.phases = phases  # type: ignore[method-assign]
    return model


def _train(
    model: Trainable, images: MemoryImages, folder: Path, killed: set[tuple[str, int]] | None
) -> bool:
    """Train; return whether it was finished. It is killed once at each place not in `killed`."""

    def watch(event: Event) -> None:
        moment = (event.stage, event.step)
        if killed is None or event.kind not in ("start", "step") or event.step == STEPS:
            return
        if moment not in killed:
            killed.add(moment)
            raise _Killed(moment)

    try:
        train(
            model,
            images,
            seed=0,
            folder=folder,
            devices=open_devices("cpu"),
            watch=watch,
            save_every=0,
        )
    except _Killed:
        return False
    return True


def _same(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and value.shape == other.shape and torch.equal(value, other)


RESUMING = (check_stopping_and_resuming_changes_nothing,)
