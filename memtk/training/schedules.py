"""The course of the learning rate over the steps of a phase."""

from __future__ import annotations

import math
from collections.abc import Sequence

from memtk.interfaces import Phase

START = 1 / 25
"""One-cycle: the first factor."""
END = 1 / 25e4
"""One-cycle: the last factor."""
RISE = 0.3
"""One-cycle: the part of the steps on which the rate rises."""


def factor(
    schedule: str,
    step: int,
    steps: int,
    drops: Sequence[int] = (),
    gamma: float = 0.1,
    floor: float = 0.0,
) -> float:
    """Return what the learning rate of a turn is multiplied with at `step` of `steps`, in [0, 1].

    - constant: 1
    - cosine: from 1 along half a cosine towards `floor`, which step = steps would reach; with
      floor 0, (1 + cos(pi step / steps)) / 2. Loshchilov and Hutter, arXiv 1608.03983.
    - one-cycle: from 1/25 to 1 on the first 30 % of the steps, then to 4e-6 at the last one, both
      along half a cosine. Smith and Topin, arXiv 1708.07120. Adam's betas stay as they are.
    - milestones: gamma^k from the k-th of `drops` on, which are numbers of steps done.

    Raises:
        ValueError: if there is no such schedule.

    >>> [round(factor("cosine", step, 4), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _along(1.0, floor, step / steps)
    if schedule == "one-cycle":
        peak = max(RISE * steps - 1, 0.0)
        if step < peak:
            return _along(START, 1.0, step / peak)
        fall = steps - 1 - peak
        return _along(1.0, END, (step - peak) / fall if fall > 0 else 0.0)
    if schedule == "milestones":
        return gamma ** sum(step >= drop for drop in drops)
    raise ValueError(f"no schedule {schedule!r}")


def drops_of(phase: Phase, count: int) -> tuple[int, ...]:
    """Return the milestones of a phase in steps, for a training set of `count` images.

    An epoch is the steps that a loader takes which ends each epoch with a smaller batch, N /
    batch_size rounded up; where the batch is whole, what such a phase takes: rounded down.
    """
    settings = phase.settings
    if settings.milestone_unit == "steps":
        return settings.milestones
    size = min(settings.batch_size, count) if phase.whole_batch else settings.batch_size
    epoch = count // size if phase.whole_batch else -(-count // size)
    return tuple(epoch * milestone for milestone in settings.milestones)


def _along(start: float, end: float, part: float) -> float:
    """Half a cosine from `start` (part = 0) to `end` (part = 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
