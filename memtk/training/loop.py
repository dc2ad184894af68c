"""Trains a model: phase after phase, stopped and gone on with at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memtk.errors import PluginError, UserError
from memtk.events import Event, Watch, ignore
from memtk.interfaces import Images, Phase, Private, Trainable
from memtk.training.accounting import Spent
from memtk.training.blocks import check_blocks
from memtk.training.checkpoints import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    fill,
    load_checkpoint,
    write_checkpoint,
)
from memtk.training.devices import Devices
from memtk.training.phase import train_phase
from memtk.training.private import forget, make_private
from memtk.training.rows import Augment
from memtk.training.run import Run
from memtk.training.state import (
    Losses,
    Progress,
    State,
    length,
    load_state,
    recipe_of,
    state_path,
)


@dataclass(frozen=True)
class Training:
    """What came of a training.

    Args:
        checkpoints: of the last phase, evenly spaced over its steps, the last = the final one.
        losses: by phase, `(steps done, {term: value})`, 200 points at most; "turn.term" where a
            phase has several turns.
        precision: by phase, "float32" or "bfloat16".
        privacy: what was spent; None where the training was not private.
    """

    checkpoints: tuple[Checkpoint, ...]
    losses: Losses
    precision: Mapping[str, str]
    privacy: Spent | None = None


def train(
    model: Trainable,
    images: Images,
    *,
    seed: int,
    folder: Path,
    devices: Devices,
    checkpoints: int = 1,
    augment: Augment | None = None,
    private: Private | None = None,
    name: str = "model",
    watch: Watch = ignore,
    save_every: float = 30.0,
) -> Training:
    """Train all phases of `model`; afterwards it has the weights of the last checkpoint.

    A step is a function of the seed, its number and the weights, so that a call that goes on with
    what an earlier one left in `folder` ends with the same numbers as one that was never stopped.
    torch's global generators are left as they are. Called in every process; all of them see
    `folder`.

    Args:
        images: the training set, read piece by piece.
        seed: decides on order, noise and dropout.
        folder: for the state and the checkpoints of this training, and of no other.
        checkpoints: how many to keep of the last phase.
        augment: `(x (B, C, *S), noise) -> x`, drawn anew at each step; before an encoder, for
            `settings.variants` variants of each image once.
        private: train with differential privacy; see `memtk.training.private_steps`.
        name: of the model, for events and messages.
        save_every: seconds between two savings of the state.

    Raises:
        UserError: if a loss is not finite, if a file in `folder` is damaged or belongs to a
            training with other settings, if it cannot be written, or if a setting asks for what
            the model cannot do.
        PluginError: if the phases of the model contradict themselves.
    """
    phases = tuple(model.phases())
    _check(model, phases, images)
    folder = Path(folder)
    kept = checkpoint_steps(length(phases[-1]) if phases else 0, checkpoints)
    recipe = recipe_of(model, images, seed, augment is not None, kept)
    guarded = None
    if private is not None:
        guarded = make_private(
            private, model, images, seed=seed, folder=folder, devices=devices, name=name
        )
        recipe |= {"private": guarded.recipe()}
    run = Run(
        model=model,
        phases=phases,
        images=images,
        seed=seed,
        folder=folder,
        devices=devices,
        augment=augment,
        name=name,
        watch=watch,
        save_every=save_every,
        kept=kept,
        recipe=recipe,
        private=guarded,
    )
    made = tuple(Checkpoint(step, checkpoint_path(folder, step)) for step in kept)
    saved = load_state(state_path(folder), recipe)
    state = saved or State(Progress())
    if state.model is not None:
        fill(model, state.model, state_path(folder))
    model.to(devices.device)
    devices.wait()  # nobody writes before everybody has read
    if devices.is_main:
        for leftover in folder.rglob(".*.tmp"):  # of a call that was killed while it wrote
            leftover.unlink()
    for phase in phases[: state.progress.phase]:
        stage = run.stage(phase)
        stage.tell(Event("skip", stage.name, length(phase), length(phase)))
    if saved is not None and state.progress.phase == len(phases):
        _finished(model, made)
    while state.progress.phase < len(phases):
        state = train_phase(run, state)
    if saved is None and not phases:
        _keep_as_it_comes(run, made[-1])
    model.eval()
    if guarded is not None:
        forget(folder)
    spent = guarded.spent() if guarded else None
    return Training(made, state.progress.losses, state.progress.precision, spent)


def _check(model: Trainable, phases: Sequence[Phase], images: Images) -> None:
    names = [phase.name for phase in phases]
    for phase in phases:
        check_blocks(model, phase)
        turns = [turn.name for turn in phase.turns]
        if names.count(phase.name) > 1 or len(set(turns)) < len(turns):
            raise PluginError(
                f"{type(model).__name__}: phases {names} and turns {turns} need names of their own"
            )
        if phase.whole_batch and phase.settings.accumulate > 1:
            raise UserError(
                f"phase {phase.name!r} has accumulate = {phase.settings.accumulate}, but its loss "
                "compares the images of a batch, which cannot be split: set accumulate to 1"
            )
    if phases and not len(images):
        raise UserError("there are no training images")


def _finished(model: Trainable, made: Sequence[Checkpoint]) -> None:
    """Take the weights of a training that an earlier call finished."""
    for checkpoint in made:
        if not checkpoint.path.exists():
            raise UserError(
                f"the training in {checkpoint.path.parents[1]} is finished, but "
                f"{checkpoint.path.name} is gone: run with --no-resume to train it again"
            )
    load_checkpoint(model, made[-1].path)


def _keep_as_it_comes(run: Run, checkpoint: Checkpoint) -> None:
    """Write the only checkpoint of a model that comes trained."""
    if run.devices.is_main:
        write_checkpoint(run.model, checkpoint.path, checkpoint.step)
    run.save(State(Progress()))
    run.devices.wait()
