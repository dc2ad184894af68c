"""Watches a run: with `MEMTK_TENSORBOARD=FOLDER` its losses are logged there.

Look at them with `tensorboard --logdir FOLDER`. Each loss is a scalar named after its stage and
term, "training monai3d: diffusion/mse", over the steps of the phase; a stage that begins again in
the same process (an embedder that is trained again) gets a number. What is logged is what the
progress bar shows: some steps a second, not every step.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memtk import hookimpl
from memtk.errors import UserError

if TYPE_CHECKING:
    from memtk.events import Event  # this module is imported by every command

VARIABLE = "MEMTK_TENSORBOARD"


@hookimpl
def memtk_run_event(event: Event) -> None:
    """Log the numbers of an event, if a folder is named for them.

    Raises:
        UserError: if a folder is named and TensorBoard is not installed.
    """
    folder = os.environ.get(VARIABLE)
    if folder:
        opened(folder).take(event)


class Log:
    """Writes the numbers of events.

    Args:
        writer: has `add_scalar(tag, value, step)` and `flush()`.
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self._begun: dict[str, int] = {}

    def take(self, event: Event) -> None:
        """Log an event's values at its step; at the end of a stage, write all of it to the disk."""
        if event.kind == "start":
            self._begun[event.stage] = self._begun.get(event.stage, 0) + 1
        times = self._begun.get(event.stage, 1)
        stage = event.stage if times == 1 else f"{event.stage} ({times})"
        for term, value in event.values.items():
            self.writer.add_scalar(f"{stage}/{term}", value, event.step)
        if event.kind == "end" and event.values:
            self.writer.flush()


@lru_cache(maxsize=1)
def opened(folder: str) -> Log:
    """Open the log in `folder`, once a process.

    Raises:
        UserError: if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"{VARIABLE} is set, but there is no TensorBoard: pip install tensorboard, or unset it"
        ) from error
    return Log(SummaryWriter(folder))
