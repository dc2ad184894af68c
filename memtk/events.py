"""What a run tells those who watch it: progress bars, plugins, tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Args:
        kind: "start", "step" or "end" of a stage, "skip" of one that an earlier run finished,
            "note" for a sentence to show.
        stage: what is going on, in words for a person ("training monai3d: diffusion").
        step: steps done so far.
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
