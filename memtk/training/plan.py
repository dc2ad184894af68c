"""What a training would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

from memtk.interfaces import Trainable
from memtk.training.blocks import check_blocks
from memtk.training.optimisers import moved_by
from memtk.training.state import length


@dataclass(frozen=True)
class PhasePlan:
    """One phase.

    Args:
        phase: its name.
        steps: optimiser steps; 0 where it only looks at the data.
        batch_size: images a step.
        parameters: numbers that its turns move, by turn.
    """

    phase: str
    steps: int
    batch_size: int
    parameters: dict[str, int]


def describe(model: Trainable) -> list[PhasePlan]:
    """Return the phases of `model` in the order they would be trained.

    Raises:
        UserError: if a setting asks for what the model cannot do.
    """
    for phase in model.phases():
        check_blocks(model, phase)
    return [
        PhasePlan(
            phase.name,
            length(phase),
            phase.settings.batch_size,
            {t.name: sum(p.numel() for p in moved_by(model, phase, t)) for t in phase.turns},
        )
        for phase in model.phases()
    ]
