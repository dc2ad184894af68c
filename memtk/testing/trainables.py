"""What the phases, the training and the checkpoints of a generator or embedder must keep to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.events import Event
from memtk.interfaces import Phase, PhaseSettings, Trainable, Turn
from memtk.testing.assertions import applies, check_rows_stand_alone, expect
from memtk.testing.case import Case
from memtk.testing.registration import SETTINGS
from memtk.testing.short_training import Step, record_training
from memtk.training.checkpoints import load_checkpoint, write_checkpoint
from memtk.training.devices import open_devices
from memtk.training.job import TrainingOptions
from memtk.training.loop import train

STEPS = 2
"""Steps of each phase, whatever its settings say."""


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


def check_random_tensors_are_parameters_or_buffers(case: Case) -> None:
    """What is drawn in `__init__` is in the `state_dict`, which other instances are given."""
    first, other = case.make(), case.make(seed=1)
    other.load_state_dict(first.state_dict())
    for (name, mine), (_, theirs) in zip(
        first.named_modules(), other.named_modules(), strict=False
    ):
        kept = dict(theirs.named_buffers(recurse=False))
        for key, value in {**vars(mine), **dict(mine.named_buffers(recurse=False))}.items():
            whole = f"{name}.{key}".removeprefix(".")
            if key.startswith("_") and key in vars(nn.Module()):
                continue
            its = kept.get(key, vars(theirs).get(key))
            same = zip(_arrays(value), _arrays(its), strict=False)
            expect(
                all(np.array_equal(a, b, equal_nan=True) for a, b in same),
                f"{whole!r} of {case.cls.__name__} is drawn at random and no checkpoint keeps it: "
                "make it a parameter, or a buffer that is kept (register_buffer)",
            )


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """Return the tensors and arrays of numbers in an attribute, and in lists and tables in it."""
    if isinstance(value, Tensor) and value.dtype != torch.bfloat16:
        yield value.detach().cpu().numpy()
    elif isinstance(value, Tensor):
        yield value.detach().float().cpu().numpy()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _arrays(each)


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


def check_losses_are_finite_scalars(case: Case) -> None:
    """A loss is a mapping of names to finite scalars that depend on a weight."""
    for step in _steps(case):
        expect(not step.complaint, step.complaint)


def check_losses_draw_from_their_noise_alone(case: Case) -> None:
    """A loss draws from `noise`, so that step, batch and processes change nothing; but dropout."""
    for step in _steps(case):
        expect(not step.draws, step.draws)


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
    check_losses_draw_from_their_noise_alone,
    check_turns_reach_all_their_weights,
    check_turns_move_their_weights,
    check_turns_leave_other_weights_alone,
    check_batch_size_does_not_change_encodings,
)
"""What is told from a short training."""


class _Killed(Exception):
    """Ends a training from outside, at a stage and a step of it."""


def check_stopping_and_resuming_changes_nothing(case: Case) -> None:
    """A training that is killed twice in every phase ends as one that never was."""
    whole = _shortened(case.make())
    applies(bool(whole.phases()), "it comes trained: it has no phases")
    images, killed = MemoryImages(case.x), set[tuple[str, int]]()
    with tempfile.TemporaryDirectory() as folder:
        _train(whole, images, Path(folder), None)
    with tempfile.TemporaryDirectory() as folder:
        finished = False
        while not finished:
            model = _shortened(case.make())  # another process begins with a fresh instance
            finished = _train(model, images, Path(folder), killed)
    found = model.state_dict()
    for name, value in whole.state_dict().items():
        expect(
            _same(value, found.get(name)),
            f"{case.cls.__name__} ends with another {name!r} when its training is stopped and "
            "gone on with: what a step needs must be a parameter or a buffer",
        )


def _shortened(model: Trainable) -> Trainable:
    whole = model.phases

    def phases() -> tuple[Phase, ...]:
        short = {"steps": STEPS}
        return tuple(
            replace(phase, settings=phase.settings.model_copy(update=short)) for phase in whole()
        )

    model.phases = phases  # type: ignore[method-assign]
    return model


def _train(
    model: Trainable, images: MemoryImages, folder: Path, killed: set[tuple[str, int]] | None
) -> bool:
    """Train; return whether it was finished. It is killed once at each place not in `killed`."""

    def watch(event: Event) -> None:
        moment = (event.stage, event.step)
        if killed is None or event.kind not in ("start", "step") or event.step == STEPS:
            return
        if moment not in killed:
            killed.add(moment)
            raise _Killed(moment)

    try:
        train(
            model,
            images,
            seed=0,
            folder=folder,
            devices=open_devices("cpu"),
            options=TrainingOptions(save_every=0),
            watch=watch,
        )
    except _Killed:
        return False
    return True


def _same(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and value.shape == other.shape and torch.equal(value, other)


def check_checkpoints_load_into_a_fresh_instance(case: Case) -> None:
    """The `state_dict` of a trained model is one of a fresh one, and holds tensors alone."""
    reload(case.model, case.make())


def learn(model: Trainable, images: Tensor) -> None:
    """Train a little as the core does.

    Args:
        images: the training set, (N, C, *S) in [-1, 1]; each step takes all of it.

    Raises:
        AssertionError: if a loss is unsound, or a turn moves other weights than its own.
    """
    case = Case(type(model), spec=model.spec, images=images)
    case.__dict__["_training"] = record_training(model, images)
    for check in LEARNING if case.training.steps else ():
        if not case.training.rows and "encodings" in check.__name__:
            continue
        check(case)


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


TRAINABLE = (
    *SETTINGS,
    check_construction_is_reproducible,
    check_random_tensors_are_parameters_or_buffers,
    check_phases_and_turns_have_names_of_their_own,
    check_phases_say_what_they_do,
    check_turns_move_parameters_of_the_model,
    check_no_weight_has_two_turns,
    check_every_weight_is_moved_or_frozen,
    *LEARNING,
    check_checkpoints_load_into_a_fresh_instance,
)
