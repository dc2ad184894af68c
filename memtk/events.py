"""What a run tells those who watch it: progress bars, plugins, tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import TypeVar

INTERVAL = 0.2
"""Seconds between two "step" events of a stage."""

Rows = TypeVar("Rows", bound=Sized)


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Args:
        kind: "start", "step" or "end" of a stage, "skip" of one that an earlier run finished,
            "note" for a sentence to show.
        stage: what is going on, in words for a person ("training monai3d: diffusion").
        total: steps in all, 0 where unknown.
        values: numbers to show beside the bar (loss terms by name).
        text: the sentence of a "note".
    """

    kind: str
    stage: str
    step: int = 0
    total: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    text: str = ""


Watch = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch nothing."""


@dataclass
class StageEvents:
    """Tells whoever watches how far one stage of a run is: its steps a few times a second.

    Args:
        stage: in words ("training monai3d: diffusion").
        speaks: False in all processes but the first.
    """

    stage: str
    watch: Watch
    speaks: bool = True
    _last: float = field(default=-float("inf"), repr=False)

    def tell(
        self, kind: str, step: int = 0, total: int = 0, values: Mapping[str, float] | None = None
    ) -> None:
        """Tell of an `Event` of this stage, unless it is a "step" too soon after the one before."""
        now = time.monotonic()
        if not self.speaks or (kind == "step" and now - self._last < INTERVAL):
            return
        self._last = now if kind == "step" else self._last
        self.watch(Event(kind, self.stage, step, total, values or {}))

    def track(self, blocks: Iterable[Rows], total: int) -> Iterator[Rows]:
        """Yield `blocks` of rows, `total` rows in all, and tell how many have come."""
        done = 0
        self.tell("start", 0, total)
        for block in blocks:
            done += len(block)
            self.tell("step", done, total)
            yield block
        self.tell("end", total, total)
