"""Trains one phase, from its beginning or from where an earlier call stopped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import torch

from memtk.errors import UserError
from memtk.events import StageEvents
from memtk.interfaces import Phase
from memtk.training.checkpoints import restore
from memtk.training.inputs import EncodedInputs, Inputs, batches, begin, open_inputs
from memtk.training.job import TrainingJob
from memtk.training.private_steps import PrivateStepper
from memtk.training.state import Progress, State, steps_of
from memtk.training.steps import NotFiniteError, Stepper, milestone_steps

POINTS = 200
"""Most points of the loss curve that are kept of a phase."""


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
    job: TrainingJob,
    state: State,
    inputs: Inputs,
    dtype: torch.dtype | None,
    events: StageEvents,
) -> Progress:
    """Take the steps that are left; leave the final (averaged) weights in the model."""
    model, progress = job.model, state.progress
    phase, last = job.phases[progress.phase], progress.phase == len(job.phases) - 1
    steps = phase.settings.steps
    model.train()
    milestones = milestone_steps(phase, len(job.images))
    rest = (model, phase, job.seed, job.devices, dtype, milestones)
    stepper = PrivateStepper(*rest, job.private) if job.private else Stepper(*rest)
    try:
        restore(stepper, state)
        with closing(batches(job, phase, inputs, range(progress.step, steps))) as feed:
            for step, batch in feed:
                try:
                    values = stepper.step(step, batch)
                except NotFiniteError as error:
                    raise _not_finite(job, phase, step, error) from error
                progress = _record(progress, phase, step + 1, values)
                job.checkpointer.after_step(stepper, progress, last=last)
                events.tell("step", step + 1, steps, values)
        if stepper.ema:
            stepper.ema.swap()
    finally:
        stepper.close()
        model.eval()
    job.devices.align(list(model.buffers()))
    return progress


def _record(progress: Progress, phase: Phase, done: int, values: Mapping[str, float]) -> Progress:
    """Keep the losses of every so many steps, of the first and of the last one."""
    steps, curve = phase.settings.steps, progress.losses.get(phase.name, [])
    stride = -(-steps // (POINTS - 2)) if steps > POINTS else 1
    if values and (done % stride == 0 or done in (1, steps)):  # a private step may be empty
        curve = [*curve, (done, dict(values))]
    return replace(progress, step=done, losses={**progress.losses, phase.name: curve})


def _not_finite(job: TrainingJob, phase: Phase, step: int, error: NotFiniteError) -> UserError:
    path, saved = job.checkpointer.state_path, job.checkpointer.saved
    kept = f"The state after step {saved} is kept in {path}" if path.exists() else "Nothing is kept"
    return UserError(
        f"training {job.options.name}: {error.term} = {error.value} in turn {error.turn!r} of "
        f"phase {phase.name!r}, step {step + 1} of {phase.settings.steps}.\n{kept}.\nTry a lower "
        "learning rate, a smaller clip_norm or precision=float32, with --no-resume."
    )
