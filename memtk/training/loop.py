"""Trains a model: phase after phase, stopped and gone on with at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memtk.errors import PluginError, UserError
from memtk.events import Watch, ignore
from memtk.folders import sweep
from memtk.interfaces import Images, Phase, Trainable
from memtk.training.accounting import PrivacyGuarantee
from memtk.training.blocks import check_blocks
from memtk.training.checkpoints import Checkpoint, Checkpointer, checkpoint_steps, load_checkpoint
from memtk.training.devices import Devices
from memtk.training.job import TrainingJob, TrainingOptions
from memtk.training.phase import train_phase
from memtk.training.privacy import delete_secret, make_private
from memtk.training.state import Losses, Progress, State, recipe_of, steps_of


@dataclass(frozen=True)
class Training:
    """What came of a training.

    Args:
        checkpoints: of the last phase, evenly spaced over its steps, the last = the final one.
        losses: by phase, `(steps done, {term: value})`, 200 points at most; "turn.term" where a
            phase has several turns.
        precision: by phase, "float32" or "bfloat16".
        privacy: what is guaranteed; None where the training was not private.
    """

    checkpoints: tuple[Checkpoint, ...]
    losses: Losses
    precision: Mapping[str, str]
    privacy: PrivacyGuarantee | None = None


def train(
    model: Trainable,
    images: Images,
    *,
    seed: int,
    folder: Path,
    devices: Devices,
    options: TrainingOptions | None = None,
    watch: Watch = ignore,
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
        options: what else is asked; None for all defaults.
        watch: told of the progress.

    Raises:
        UserError: if a loss is not finite, if a file in `folder` is damaged or belongs to a
            training with other settings, if it cannot be written, or if a setting asks for what
            the model cannot do.
        PluginError: if the phases of the model contradict themselves.
    """
    options, folder = options or TrainingOptions(), Path(folder)
    phases = tuple(model.phases())
    _check(model, phases, images)
    kept = checkpoint_steps(steps_of(phases[-1]) if phases else 0, options.checkpoints)
    recipe = recipe_of(model, images, seed, options.augment is not None, kept)
    private = None
    if options.private is not None:
        private = make_private(
            options.private,
            model,
            images,
            seed=seed,
            folder=folder,
            devices=devices,
            name=options.name,
        )
        recipe |= {"private": private.recipe()}
    keep = Checkpointer(folder, recipe, kept, options.save_every, devices.is_main)
    job = TrainingJob(model, phases, images, seed, devices, options, watch, keep, private)
    saved = keep.load(model)
    state = saved or State(Progress())
    model.to(devices.device)
    devices.wait()  # nobody writes before everybody has read
    if devices.is_main:
        sweep(folder)
    for phase in phases[: state.progress.phase]:
        job.events(phase).tell("skip", steps_of(phase), steps_of(phase))
    if saved is not None and state.progress.phase == len(phases):
        _load_finished(model, keep.checkpoints)
    while state.progress.phase < len(phases):
        state = train_phase(job, state)
    if saved is None and not phases:  # a model that comes trained
        keep.write(model, kept[-1])
        keep.save(state)
        devices.wait()
    model.eval()
    if private is not None:
        delete_secret(folder)
    guarantee = private.guarantee() if private else None
    return Training(keep.checkpoints, state.progress.losses, state.progress.precision, guarantee)


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


def _load_finished(model: Trainable, checkpoints: Sequence[Checkpoint]) -> None:
    """Take the weights of a training that an earlier call finished."""
    for checkpoint in checkpoints:
        if not checkpoint.path.exists():
            raise UserError(
                f"the training in {checkpoint.path.parents[1]} is finished, but "
                f"{checkpoint.path.name} is gone: run with --no-resume to train it again"
            )
    load_checkpoint(model, checkpoints[-1].path)
