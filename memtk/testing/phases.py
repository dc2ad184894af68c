"""What the phases and turns of every generator and embedder must keep to."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from memtk.interfaces import Phase, PhaseSettings, Trainable, Turn
from memtk.testing.case import Case
from memtk.testing.verdict import applies, expect


def check_construction_is_reproducible(case: Case) -> None:
    """Two instances of one seed begin with the same weights."""
    first, second = case.make().state_dict(), case.make().state_dict()
    same = list(first) == list(second)
    for name, value in first.items():
        same = same and torch.equal(value, second[name])
        expect(
            same,
            f"two instances of {case.cls.__name__} that were made under one seed differ in "
            f"{name!r}: initial weights may come from torch's generator alone",
        )


def check_phases_and_turns_have_names_of_their_own(case: Case) -> None:
    """A phase is a key in the run folder, a turn one in the loss curves."""
    model = case.make()
    phases = _phases(model)
    names = [phase.name for phase in phases]
    expect(
        len(set(names)) == len(names),
        f"{case.cls.__name__}.phases(): names {names} are not unique",
    )
    for phase in phases:
        turns = [turn.name for turn in phase.turns]
        where = f"phase {phase.name!r} of {case.cls.__name__}"
        expect(len(set(turns)) == len(turns), f"{where}: turns {turns} are not unique")


def check_phases_say_what_they_do(case: Case) -> None:
    """A phase has settings, and turns or something to look at."""
    for phase in _phases(case.make()):
        where = f"phase {phase.name!r} of {case.cls.__name__}"
        expect(
            isinstance(phase.settings, PhaseSettings),
            f"{where}: its settings are a {type(phase.settings).__name__}, not PhaseSettings",
        )
        expect(
            bool(phase.turns) or phase.begin is not None,
            f"{where} does nothing: it has neither turns nor begin",
        )


def check_turns_move_parameters_of_the_model(case: Case) -> None:
    """A weight outside the model would be in no checkpoint."""
    model = case.make()
    own = set(model.parameters())
    for where, turn in _turns(model):
        parameters = list(turn.parameters())
        expect(bool(parameters), f"{where} moves no parameters")
        for parameter in parameters:
            expect(
                parameter in own,
                f"{where} moves a parameter outside the model, which no checkpoint would keep",
            )


def check_no_weight_has_two_turns(case: Case) -> None:
    """Within a phase, a weight is moved by one turn."""
    model = case.make()
    names = {parameter: name for name, parameter in model.named_parameters()}
    for phase in _phases(model):
        owners: dict[nn.Parameter, str] = {}
        for turn in phase.turns:
            for parameter in dict.fromkeys(turn.parameters()):
                expect(
                    parameter not in owners,
                    f"{names.get(parameter)!r} is moved by both turns {owners.get(parameter)!r} "
                    f"and {turn.name!r} of phase {phase.name!r}",
                )
                owners[parameter] = turn.name


def check_every_weight_is_moved_or_frozen(case: Case) -> None:
    """A weight that learns belongs to a turn."""
    model = case.make()
    phases = _phases(model)
    moved = {p for phase in phases for turn in phase.turns for p in turn.parameters()}
    for name, parameter in model.named_parameters():
        expect(
            parameter in moved or not parameter.requires_grad,
            f"{name!r} of {case.cls.__name__} is moved by no turn: give it to one, or set "
            "requires_grad=False",
        )


def _phases(model: Trainable) -> tuple[Phase, ...]:
    phases = tuple(model.phases())
    applies(bool(phases), "it comes trained: it has no phases")
    return phases


def _turns(model: Trainable) -> Iterator[tuple[str, Turn]]:
    for phase in _phases(model):
        for turn in phase.turns:
            yield f"turn {turn.name!r} of phase {phase.name!r}", turn


PHASES = (
    check_construction_is_reproducible,
    check_phases_and_turns_have_names_of_their_own,
    check_phases_say_what_they_do,
    check_turns_move_parameters_of_the_model,
    check_no_weight_has_two_turns,
    check_every_weight_is_moved_or_frozen,
)
