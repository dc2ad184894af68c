"""A short training, with all that the checks want to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from memtk.interfaces import Phase, Trainable, Turn
from memtk.noise import Noise, derive
from memtk.testing.assertions import check_no_global_draw, global_generators_kept
from memtk.training.steps import loss_fault

STEPS = 2
"""Steps of each phase. The first may move a last layer alone that begins as zeros."""


@dataclass(frozen=True)
class Step:
    """One turn of one step.

    Args:
        where: "turn 'fit' of phase 'training'".
        number: of the step, from 1.
        complaint: what is wrong with the loss, in one sentence; then no weight was moved.
        unreached: the turn's own weights that the loss does not depend on.
        others: the weights that changed and are not its own.
        still: whether none of its own weights changed.
        draws: how the loss is random beside its noise, in one sentence; empty if it is not.
    """

    where: str
    number: int
    complaint: str = ""
    unreached: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    still: bool = False
    draws: str = ""


@dataclass(frozen=True)
class ShortTraining:
    """A model after a short training, and what was seen in it.

    Args:
        model: in eval mode.
        rows: by the phases that encode, how many rows came of the images.
    """

    model: Any
    steps: tuple[Step, ...]
    rows: Mapping[str, int]


def record_training(
    model: Trainable, images: Tensor, condition: Tensor | None = None
) -> ShortTraining:
    """Train a little as the core does: encode, begin, and `STEPS` steps of every turn.

    Args:
        images: the training set, (N, C, *S) in [-1, 1]; each step takes all of it.
        condition: what the model is told of each, (N, K); None: nothing.
    """
    movable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps: list[Step] = []
    made: dict[str, int] = {}
    for phase in model.phases():
        model.eval()
        with torch.no_grad():
            rows = images if phase.encode is None else phase.encode(images).float()
            if phase.encode is not None:
                made[phase.name] = len(rows)
            if phase.begin is not None:
                phase.begin(iter(rows.split(2)))
        draws = {turn.name: _draws(model, phase, turn, rows) for turn in phase.turns}
        model.train()
        adams = [_adam(turn) for turn in phase.turns]
        for number in range(1, STEPS + 1):
            for turn, adam in zip(phase.turns, adams, strict=True):
                step = _take(model, phase, turn, adam, (rows, condition), number)
                steps.append(replace(step, draws=draws[turn.name]))
    model.zero_grad(set_to_none=True)
    for parameter in movable:
        parameter.requires_grad_(True)
    return ShortTraining(model.eval(), tuple(steps), made)


def _adam(turn: Turn) -> Adam | None:
    parameters = list(dict.fromkeys(turn.parameters()))
    return Adam(parameters, turn.learning_rate, turn.betas) if parameters else None


def _draws(model: Trainable, phase: Phase, turn: Turn, rows: Tensor) -> str:
    """Return how a loss is random beside its noise, in one sentence; empty if it is not.

    In eval mode, so without dropout, which the core seeds at each step. The model is left as it
    was.
    """
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def call() -> Tensor:
        noise = Noise(derive(0, phase.name, turn.name), range(len(rows)))
        model(phase.name, turn.name, rows, noise)
        return torch.zeros(0)

    try:
        with torch.no_grad(), global_generators_kept():
            check_no_global_draw(f"the loss of turn {turn.name!r} of {phase.name!r}", call, 1)
    except AssertionError as error:
        return str(error)
    finally:
        for name, value in model.state_dict().items():
            value.copy_(before.get(name, value))
    return ""


def _take(
    model: Trainable,
    phase: Phase,
    turn: Turn,
    adam: Adam | None,
    given: tuple[Tensor, Tensor | None],
    number: int,
) -> Step:
    rows, condition = given
    where = f"turn {turn.name!r} of phase {phase.name!r}"
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    own = set(turn.parameters())
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in own)
    model.zero_grad(set_to_none=True)
    noise = Noise(derive(0, phase.name, turn.name, number), range(len(rows)))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)  # the core seeds dropout likewise
        terms = model(phase.name, turn.name, rows, noise, condition)
    complaint = _complaint(where, terms)
    if complaint or adam is None:
        return Step(where, number, complaint)
    torch.stack([value.float().reshape(()) for value in terms.values()]).sum().backward()
    named = dict(model.named_parameters())
    unreached = tuple(name for name, p in named.items() if p in own and p.grad is None)
    adam.step()
    changed = [name for name, p in named.items() if not torch.equal(p, before[name])]
    others = tuple(name for name in changed if named[name] not in own)
    return Step(where, number, "", unreached, others, still=not set(changed) - set(others))


def _complaint(where: str, terms: Any) -> str:
    """Return what is wrong with a loss, an empty string if nothing."""
    if fault := loss_fault(terms, where):
        return fault
    for name, value in terms.items():
        if not bool(value.isfinite()):
            return f"the loss term {name!r} of {where} is not finite"
    if not any(value.requires_grad for value in terms.values()):
        return f"the loss of {where} depends on no weight"
    return ""
