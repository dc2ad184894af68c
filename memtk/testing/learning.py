"""What the training of every generator and embedder must keep to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from memtk.testing.case import Case
from memtk.testing.ledger import Step
from memtk.testing.rows import check_rows_stand_alone
from memtk.testing.verdict import applies, expect


def check_losses_are_finite_scalars(case: Case) -> None:
    """A loss is a mapping of names to finite scalars that depend on a weight."""
    for step in _steps(case):
        expect(not step.complaint, step.complaint)


def check_turns_reach_all_their_weights(case: Case) -> None:
    """A loss depends on every weight of its turn."""
    for step in _steps(case):
        for name in step.unreached:
            reason = "the loss does not depend on it"
            raise AssertionError(f"{step.where} never reaches {name!r}: {reason}")


def check_turns_move_their_weights(case: Case) -> None:
    """Each step of each turn moves some of its weights."""
    for step in _steps(case):
        expect(not step.still, f"{step.where} moves none of its weights in step {step.number}")


def check_turns_leave_other_weights_alone(case: Case) -> None:
    """A turn moves the weights that it says, and no others."""
    for step in _steps(case):
        for name in step.others:
            raise AssertionError(f"{step.where} changes {name!r}, which is not its own")


def check_batch_size_does_not_change_encodings(case: Case) -> None:
    """Row i of `encode` depends on image i alone: the core encodes in batches of its own size."""
    phases = [phase for phase in case.model.phases() if phase.encode is not None]
    applies(bool(phases), "no phase encodes")
    for phase in phases:
        made = case.training.rows[phase.name]
        expect(
            made == len(case.x),
            f"encode of phase {phase.name!r} makes {made} rows of {len(case.x)} images",
        )
        encode: Callable[[Tensor], Tensor] = phase.encode

        def part(indices: list[int], encode: Callable[[Tensor], Tensor] = encode) -> Tensor:
            with torch.no_grad():
                return encode(case.x[indices])

        what = f"encode of phase {phase.name!r}"
        check_rows_stand_alone(what, part, len(case.x), case.tolerance)


def _steps(case: Case) -> tuple[Step, ...]:
    steps = case.training.steps
    applies(bool(steps), "it takes no steps")
    return steps


LEARNING = (
    check_losses_are_finite_scalars,
    check_turns_reach_all_their_weights,
    check_turns_move_their_weights,
    check_turns_leave_other_weights_alone,
    check_batch_size_does_not_change_encodings,
)
