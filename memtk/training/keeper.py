"""Writes checkpoints and the state while a phase is trained."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass

from memtk.interfaces import Phase
from memtk.training.average import Average
from memtk.training.checkpoints import checkpoint_path, write_checkpoint
from memtk.training.run import Run
from memtk.training.state import Progress, State
from memtk.training.steps import Stepper

PATIENCE = 20
"""The state is saved so seldom that writing takes at most about 1 / PATIENCE of the time."""


@dataclass
class Keeper:
    """Keeps what a stopped training needs to go on.

    Args:
        run: the training.
        stepper: whose optimisers are saved.
        average: of the weights, if there is one.
        saved: when the state was last saved, on the monotonic clock, in seconds.
        good: the step that the saved state is of.
    """

    run: Run
    stepper: Stepper
    average: Average | None
    saved: float
    good: int
    cost: float = 0.0

    def keep(self, progress: Progress, phase: Phase) -> None:
        """Write a checkpoint if this step is one of the series, and the state if it is time.

        The final checkpoint and the state at the end of a phase are `train_phase`'s.
        """
        run, done = self.run, progress.step
        if done == phase.settings.steps:
            return
        is_last = progress.phase == len(run.phases) - 1
        reached = is_last and done in run.kept
        if reached and run.devices.is_main:
            with self.average.applied() if self.average else nullcontext():
                write_checkpoint(run.model, checkpoint_path(run.folder, done), done)
        start = time.monotonic()
        if reached or start - self.saved >= max(run.save_every, PATIENCE * self.cost):
            self._save(progress)
            self.saved, self.good = time.monotonic(), done
            self.cost = self.saved - start

    def _save(self, progress: Progress) -> None:
        optimisers = {name: o.state_dict() for name, o in self.stepper.optimisers.items()}
        average = self.average.state_dict() if self.average else None
        self.run.save(State(progress, self.run.model.state_dict(), optimisers, average))
