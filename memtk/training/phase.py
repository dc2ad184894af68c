"""Trains one phase, from its beginning or from where an earlier call stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import torch

from memtk.errors import UserError
from memtk.events import Event
from memtk.interfaces import Phase
from memtk.training.average import Average
from memtk.training.checkpoints import checkpoint_path, write_checkpoint
from memtk.training.feed import batches, begin, open_rows
from memtk.training.keeper import Keeper
from memtk.training.optimisers import restore
from memtk.training.private_steps import PrivateStepper
from memtk.training.rows import EncodedRows, Rows
from memtk.training.run import Run
from memtk.training.schedules import drops_of
from memtk.training.state import Progress, State, length, state_path
from memtk.training.steps import NotFiniteError, Stepper
from memtk.training.watching import Stage

POINTS = 200
"""Most points of the loss curve that are kept of a phase."""


def train_phase(run: Run, state: State) -> State:
    """Train the phase that `state.progress` is in to its end; return the state that follows.

    The model's weights are already those of `state`.
    """
    index = state.progress.phase
    phase, last = run.phases[index], index == len(run.phases) - 1
    dtype = run.devices.precision(phase.settings.precision)
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    stage, steps, progress = run.stage(phase), length(phase), state.progress
    if steps:
        progress = replace(progress, precision={**progress.precision, phase.name: name})
    rows = open_rows(run, phase, progress.begun)
    if not progress.begun:
        begin(run, phase, rows)
        progress = replace(progress, begun=True)
        if phase.begin is not None or phase.encode is not None:
            run.save(State(progress, run.model.state_dict()))
    stage.tell(Event("start", stage.name, progress.step, steps))
    if steps:
        progress = _steps(run, phase, replace(state, progress=progress), rows, dtype, stage)
    if last and run.devices.is_main:
        write_checkpoint(run.model, checkpoint_path(run.folder, steps), steps)
    progress = replace(progress, phase=index + 1, step=0, begun=False)
    done = State(progress, None if last else run.model.state_dict())
    run.save(done)
    if isinstance(rows, EncodedRows):
        run.devices.wait()
        rows.path.unlink(missing_ok=True)
    curve = progress.losses.get(phase.name)
    stage.tell(Event("end", stage.name, steps, steps, curve[-1][1] if curve else {}))
    run.devices.wait()
    return done


def _steps(
    run: Run, phase: Phase, state: State, rows: Rows, dtype: torch.dtype | None, stage: Stage
) -> Progress:
    """Take the steps that are left; leave the final (averaged) weights in the model."""
    model, settings, progress = run.model, phase.settings, state.progress
    model.train()
    drops = drops_of(phase, len(run.images))
    rest = (model, phase, run.seed, run.devices, dtype, drops)
    stepper = PrivateStepper(*rest, run.private) if run.private else Stepper(*rest)
    try:
        first = stepper.moved[phase.turns[0].name]
        average = Average(first, settings.ema_decay) if settings.ema_decay else None
        if state.optimisers:
            restore(stepper.optimisers, state.optimisers)
        if average and state.average:
            average.load_state_dict(dict(state.average))
        keeper = Keeper(run, stepper, average, time.monotonic(), progress.step)
        with closing(batches(run, phase, rows, range(progress.step, settings.steps))) as feed:
            for step, batch in feed:
                try:
                    values = stepper.step(step, batch)
                except NotFiniteError as error:
                    raise _not_finite(run, phase, step, keeper.good, error) from error
                if average and (step + 1) % settings.ema_every == 0:
                    average.update()
                progress = _record(progress, phase, step + 1, values)
                keeper.keep(progress, phase)
                stage.tell(Event("step", stage.name, step + 1, settings.steps, values))
        if average:
            average.swap()
    finally:
        stepper.close()
        model.eval()
    run.devices.align(list(model.buffers()))
    return progress


def _record(progress: Progress, phase: Phase, done: int, values: Mapping[str, float]) -> Progress:
    """Keep the losses of every so many steps, of the first and of the last one."""
    steps, curve = phase.settings.steps, progress.losses.get(phase.name, [])
    stride = -(-steps // (POINTS - 2)) if steps > POINTS else 1
    if values and (done % stride == 0 or done in (1, steps)):  # a private step may be empty
        curve = [*curve, (done, dict(values))]
    return replace(progress, step=done, losses={**progress.losses, phase.name: curve})


def _not_finite(run: Run, phase: Phase, step: int, good: int, error: NotFiniteError) -> UserError:
    path = state_path(run.folder)
    kept = f"The state after step {good} is kept in {path}" if path.exists() else "Nothing is kept"
    return UserError(
        f"training {run.name}: {error.term} = {error.value} in turn {error.turn!r} of phase "
        f"{phase.name!r}, step {step + 1} of {phase.settings.steps}.\n{kept}.\nTry a lower "
        "learning rate, a smaller clip_norm or precision=float32, with --no-resume."
    )
