"""Trains a model: phase after phase, stopped and gone on with at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from memtk.errors import PluginError, UserError
from memtk.events import StageEvents, Watch, ignore
from memtk.folders import sweep
from memtk.interfaces import Images, Phase, Trainable
from memtk.interfaces.images import one_a_patient
from memtk.noise import Noise, derive
from memtk.training.checkpoints import (
    Checkpoint,
    Checkpointer,
    Losses,
    Progress,
    State,
    checkpoint_steps,
    load_checkpoint,
    recipe_of,
    restore,
    steps_of,
)
from memtk.training.devices import Devices, check_settings
from memtk.training.inference import eval_mode
from memtk.training.job import (
    EncodedInputs,
    Inputs,
    TrainingJob,
    TrainingOptions,
    batches,
    begin,
    open_inputs,
)
from memtk.training.privacy import PrivacyGuarantee, delete_secret, make_private
from memtk.training.private_steps import PrivateStepper
from memtk.training.steps import NotFiniteError, Stepper, milestone_steps

POINTS = 200
"""Most points of the loss curve that are kept of a phase."""

EVERY = 25
"""Steps between two measurements of a phase that may end early."""

MEASURED = "seen"
"""The term under which these stand among the losses."""

SHOWN = 100
"""Most rows of the training set that such a phase is measured on."""


def train_phase(job: TrainingJob, state: State) -> State:
    """Train the phase that `state.progress` is in to its end; return the state that follows.

    The model's weights are already those of `state`.
    """
    index, keep = state.progress.phase, job.checkpointer
    phase, last = job.phases[index], index == len(job.phases) - 1
    dtype = job.devices.precision(phase.settings.precision)
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    events, steps, progress = job.events(phase), steps_of(phase), state.progress
    if steps:
        progress = replace(progress, precision={**progress.precision, phase.name: name})
    inputs = open_inputs(job, phase, progress.begun)
    if not progress.begun:
        begin(job, phase, inputs)
        progress = replace(progress, begun=True)
        if phase.begin is not None or phase.encode is not None:
            keep.save(State(progress, job.model.state_dict()))
    events.tell("start", progress.step, steps)
    if steps:
        progress = _take_steps(job, replace(state, progress=progress), inputs, dtype, events)
    if last:
        keep.write(job.model, steps)
    progress = replace(progress, phase=index + 1, step=0, begun=False)
    done = State(progress, None if last else job.model.state_dict())
    keep.save(done)
    if isinstance(inputs, EncodedInputs):
        job.devices.wait()
        path = inputs.path
        del inputs  # closes its file: Windows removes none that is open
        path.unlink(missing_ok=True)
    curve = progress.losses.get(phase.name)
    events.tell("end", steps, steps, curve[-1][1] if curve else {})
    job.devices.wait()
    return done


def _take_steps(
    job: TrainingJob, state: State, inputs: Inputs, dtype: torch.dtype | None, events: StageEvents
) -> Progress:
    """Take the steps that are left; leave the final (averaged) weights in the model."""
    model, progress = job.model, state.progress
    phase, last = job.phases[progress.phase], progress.phase == len(job.phases) - 1
    steps = phase.settings.steps
    model.train()
    milestones = milestone_steps(phase, len(job.images))
    rest = (model, phase, job.seed, job.devices, dtype, milestones)
    stepper = PrivateStepper(*rest, job.private) if job.private else Stepper(*rest)
    left = range(progress.step, progress.step if _enough(progress, phase) else steps)
    try:
        restore(stepper, state)
        with closing(batches(job, phase, inputs, left)) as feed:
            for step, batch in feed:
                try:
                    values = stepper.step(step, batch)
                except NotFiniteError as error:
                    raise _not_finite(job, phase, step, error) from error
                values |= _measured(job, phase, inputs, stepper, step + 1)
                progress = _record(progress, phase, step + 1, values)
                job.checkpointer.after_step(stepper, progress, last=last)
                events.tell("step", step + 1, steps, values)
                if _enough(progress, phase):
                    break
        if stepper.ema:
            stepper.ema.swap()
    finally:
        stepper.close()
        model.eval()
    job.devices.align(list(model.buffers()))
    return progress


def _record(progress: Progress, phase: Phase, done: int, values: Mapping[str, float]) -> Progress:
    """Keep the losses of every so many steps, of the first, the last and the measured ones."""
    steps, curve = phase.settings.steps, progress.losses.get(phase.name, [])
    stride = -(-steps // (POINTS - 2)) if steps > POINTS else 1
    kept = done % stride == 0 or done in (1, steps) or MEASURED in values
    if values and kept:  # a private step may be empty
        curve = [*curve, (done, dict(values))]
    return replace(progress, step=done, losses={**progress.losses, phase.name: curve})


def _measured(
    job: TrainingJob, phase: Phase, inputs: Inputs, stepper: Stepper, step: int
) -> dict[str, float]:
    """Return how much of what it is for the phase does after so many steps, where this may end it.

    It is looked at every `EVERY` steps, from half of them on.
    """
    settings, measure = phase.settings, phase.measure
    if not measure or not settings.enough or step % EVERY or 2 * step < settings.steps:
        return {}
    device, seed = job.devices.device, derive(job.seed, phase.name, "measure")
    patients, count = getattr(job.images, "patients", ()), len(job.images)
    rows = one_a_patient(patients, count, SHOWN, np.random.default_rng(seed))
    x = inputs.of_images(rows.tolist()).to(device)
    averaged = stepper.ema.applied() if stepper.ema else nullcontext()
    with averaged, eval_mode(job.model, job.devices), torch.no_grad():
        value = measure(x, Noise(seed, range(SHOWN), device))
    return {MEASURED: job.devices.collect(float(value))[0]}


def _enough(progress: Progress, phase: Phase) -> bool:
    """Tell whether the last two measurements of a phase say that it may end."""
    curve = progress.losses.get(phase.name, [])
    found = [values[MEASURED] for _, values in curve if MEASURED in values][-2:]
    return len(found) == 2 and min(found) >= phase.settings.enough


def _not_finite(job: TrainingJob, phase: Phase, step: int, error: NotFiniteError) -> UserError:
    path, saved = job.checkpointer.state_path, job.checkpointer.saved
    kept = f"The state after step {saved} is kept in {path}" if path.exists() else "Nothing is kept"
    return UserError(
        f"training {job.options.name}: {error.term} = {error.value} in turn {error.turn!r} of "
        f"phase {phase.name!r}, step {step + 1} of {phase.settings.steps}.\n{kept}.\nTry a lower "
        "learning rate, a smaller clip_norm or precision=float32, with --no-resume."
    )


@dataclass(frozen=True)
class Training:
    """What came of a training.

    Args:
        checkpoints: of the last phase, evenly spaced over its steps, the last = the final one; of
            a phase that ended early that one alone, called by all its steps.
        losses: by phase, `(steps done, {term: value})`, 200 points and the measured ones at most;
            "turn.term" where a phase has several turns, "seen" for `Phase.measure`.
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

    Raises:
        UserError: if a loss is not finite, if a file in `folder` is damaged or belongs to a
            training with other settings, if it cannot be written, or if a setting asks for what
            the model cannot do.
        PluginError: if the phases of the model contradict themselves.
    """
    options, folder = options or TrainingOptions(), Path(folder)
    phases = tuple(model.phases())
    _check(model, phases, images, options)
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


def _check(
    model: Trainable, phases: Sequence[Phase], images: Images, options: TrainingOptions
) -> None:
    names = [phase.name for phase in phases]
    for phase in phases:
        check_settings(model, phase)
        turns = [turn.name for turn in phase.turns]
        if names.count(phase.name) > 1 or len(set(turns)) < len(turns):
            raise PluginError(
                f"{type(model).__name__}: phases {names} and turns {turns} need names of their own"
            )
        if phase.settings.enough and (options.private or options.checkpoints > 1):
            raise PluginError(
                f"{type(model).__name__}: phase {phase.name!r} may end at any step: neither "
                "checkpoints on the way nor a private training go together with that"
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
