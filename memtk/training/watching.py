"""Tells those who watch how far a stage is, a few times a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from memtk.events import Event, Watch

INTERVAL = 0.2
"""Seconds between two "step" events."""


@dataclass
class Stage:
    """One stage of a run.

    Args:
        name: in words ("training monai3d: diffusion").
        watch: who is told.
        speaks: False in all processes but the first.
    """

    name: str
    watch: Watch
    speaks: bool = True
    last: float = field(default=-float("inf"), repr=False)

    def tell(self, event: Event) -> None:
        """Pass `event` on, unless it is a "step" too soon after the one before."""
        now = time.monotonic()
        if not self.speaks or (event.kind == "step" and now - self.last < INTERVAL):
            return
        self.last = now if event.kind == "step" else self.last
        self.watch(replace(event, stage=self.name))
