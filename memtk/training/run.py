"""What does not change during a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.events import Watch
from memtk.interfaces import Images, Phase, Trainable
from memtk.training.devices import Devices
from memtk.training.private import PrivateRun
from memtk.training.rows import Augment
from memtk.training.state import State, save_state, state_path
from memtk.training.watching import Stage


@dataclass(frozen=True)
class Run:
    """The arguments of a training, and what follows from them: see `memtk.training.loop.train`."""

    model: Trainable
    phases: tuple[Phase, ...]
    images: Images
    seed: int
    folder: Path
    devices: Devices
    augment: Augment | None
    name: str
    watch: Watch
    save_every: float
    kept: tuple[int, ...]
    recipe: Mapping[str, Any]
    private: PrivateRun | None = None

    def stage(self, phase: Phase, what: str = "training") -> Stage:
        """Return the stage that events of this phase belong to."""
        return Stage(f"{what} {self.name}: {phase.name}", self.watch, self.devices.is_main)

    def save(self, state: State) -> None:
        """Write the state, in one process."""
        if self.devices.is_main:
            save_state(state_path(self.folder), state, self.recipe)
