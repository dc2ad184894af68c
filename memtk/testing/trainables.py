"""Checks of phases and turns, and of what a checkpoint keeps."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from memtk.errors import UserError
from memtk.interfaces import Phase, PhaseSettings, Trainable, Turn
from memtk.noise import Noise, derive
from memtk.testing.verdict import expect
from memtk.training.checkpoints import load_checkpoint, write_checkpoint

STEPS = 2
"""Steps of each phase. The first may move a last layer alone that begins as zeros."""


def check_phases(model: Trainable) -> None:
    """Check the names of phases and turns, and their settings.

    Raises:
        AssertionError: if a phase cannot be told from another or says too little.
    """
    phases = model.phases()
    cls, names = type(model).__name__, [phase.name for phase in phases]
    expect(len(set(names)) == len(names), f"{cls}.phases(): names {names} are not unique")
    for phase in phases:
        where = f"phase {phase.name!r} of {cls}"
        turns = [turn.name for turn in phase.turns]
        expect(len(set(turns)) == len(turns), f"{where}: turns {turns} are not unique")
        expect(
            isinstance(phase.settings, PhaseSettings),
            f"{where}: its settings are a {type(phase.settings).__name__}, not PhaseSettings",
        )
        expect(
            bool(turns) or phase.begin is not None,
            f"{where} does nothing: it has neither turns nor begin",
        )
        _check_parameters(model, phase)
    moved = {p for phase in phases for turn in phase.turns for p in turn.parameters()}
    for name, parameter in model.named_parameters():
        expect(
            not phases or parameter in moved or not parameter.requires_grad,
            f"{name!r} of {cls} is moved by no turn: give it to one, or set requires_grad=False",
        )


def _check_parameters(model: Trainable, phase: Phase) -> None:
    names = {parameter: name for name, parameter in model.named_parameters()}
    owners: dict[nn.Parameter, str] = {}
    for turn in phase.turns:
        where = f"turn {turn.name!r} of phase {phase.name!r}"
        parameters = list(turn.parameters())
        expect(bool(parameters), f"{where} moves no parameters")
        for parameter in dict.fromkeys(parameters):
            expect(
                parameter in names,
                f"{where} moves a parameter outside the model, which no checkpoint would keep",
            )
            expect(
                parameter not in owners,
                f"{names[parameter]!r} is moved by both turns {owners.get(parameter)!r} and "
                f"{turn.name!r} of phase {phase.name!r}",
            )
            owners[parameter] = turn.name


def learn(model: Trainable, images: Tensor) -> None:
    """Train a little as the core does: encode, begin, and `STEPS` steps of every turn.

    Args:
        images: the training set, (N, C, *S) in [-1, 1]; each step takes all of it.

    Raises:
        AssertionError: if a loss is unsound, or a turn moves other weights than its own.
    """
    movable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for phase in model.phases():
        model.eval()
        with torch.no_grad():
            rows = images if phase.encode is None else phase.encode(images).float()
            expect(
                len(rows) == len(images),
                f"encode of phase {phase.name!r} makes {len(rows)} rows of {len(images)} images",
            )
            if phase.begin is not None:
                phase.begin(iter(rows.split(2)))
        model.train()
        adams = {
            turn.name: Adam(turn.parameters(), turn.learning_rate, turn.betas)
            for turn in phase.turns
        }
        for step in range(STEPS):
            for turn in phase.turns:
                _check_step(model, phase, turn, adams[turn.name], rows, step)
    model.zero_grad(set_to_none=True)
    for parameter in movable:
        parameter.requires_grad_(True)
    model.eval()


def _check_step(
    model: Trainable, phase: Phase, turn: Turn, adam: Adam, rows: Tensor, step: int
) -> None:
    where = f"turn {turn.name!r} of phase {phase.name!r}"
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    own = set(turn.parameters())
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in own)
    model.zero_grad(set_to_none=True)
    noise = Noise(derive(0, phase.name, turn.name, step), range(len(rows)))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(step)  # the core seeds dropout likewise
        terms = model(phase.name, turn.name, rows, noise)
    _check_terms(where, terms)
    torch.stack([value.float().reshape(()) for value in terms.values()]).sum().backward()
    for name, parameter in model.named_parameters():
        expect(
            parameter.grad is not None or parameter not in own,
            f"{where} never reaches {name!r}: the loss does not depend on it",
        )
    adam.step()
    still = True
    for name, parameter in model.named_parameters():
        same = torch.equal(parameter, before[name])
        expect(same or parameter in own, f"{where} changes {name!r}, which is not its own")
        still = still and same
    expect(not still, f"{where} moves none of its weights in step {step + 1}")


def _check_terms(where: str, terms: Mapping[str, Tensor]) -> None:
    expect(isinstance(terms, Mapping) and len(terms) > 0, f"the loss of {where} has no terms")
    for name, value in terms.items():
        what = f"the loss term {name!r} of {where}"
        expect(isinstance(value, Tensor), f"{what} is a {type(value).__name__}, not a tensor")
        expect(value.numel() == 1, f"{what} has the shape {tuple(value.shape)}, not a scalar")
        expect(bool(value.isfinite()), f"{what} is not finite")
    joined = any(value.requires_grad for value in terms.values())
    expect(joined, f"the loss of {where} depends on no weight")


def reload(model: Trainable, fresh: Any) -> Any:
    """Write the model's checkpoint and load it into `fresh`, as another process would.

    Raises:
        AssertionError: if the file does not fit a fresh instance.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        write_checkpoint(model, path, 0)
        try:
            load_checkpoint(fresh, path)
        except UserError as error:
            reason = str(error).splitlines()[0].partition(": ")[2]
            raise AssertionError(
                f"the state_dict of {type(model).__name__} cannot be loaded into a fresh "
                f"instance: {reason}"
            ) from error
    return fresh.eval()
