"""Checkpoints and the state of a training, in files: written whole, read as untrusted input."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor
from torch.optim import Adam

from memtk.errors import UserError
from memtk.interfaces import Images, Phase, PhaseSettings, Trainable, takes_condition
from memtk.interfaces.settings import WITHOUT_EFFECT
from memtk.training.files import WAY_OUT, is_ours, read_file, write_file
from memtk.training.steps import Stepper


class _NotThere:
    """In the place of a value that one side of a comparison lacks."""

    def __repr__(self) -> str:
        return "not there"


_NOT_THERE = _NotThere()

Losses = Mapping[str, list[tuple[int, dict[str, float]]]]


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Args:
        phase: index of the present phase; the number of phases when all are done.
        step: steps done in it.
        begun: True once its `begin` was called.
        losses: by phase, `(step, {term: value})`.
        precision: by phase, what was computed in.
    """

    phase: int = 0
    step: int = 0
    begun: bool = False
    losses: Losses = field(default_factory=dict)
    precision: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What the state file holds: progress, weights, and the optimisers of the present phase."""

    progress: Progress
    model: Mapping[str, Any] | None = None
    optimisers: Mapping[str, Any] = field(default_factory=dict)
    average: Mapping[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as tensors and plain values, which a file can hold."""
        losses = {name: [list(p) for p in ps] for name, ps in self.progress.losses.items()}
        rest = {"losses": losses, "precision": dict(self.progress.precision)}
        return {**vars(self), "progress": {**vars(self.progress), **rest}}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> State:
        """Return what `plain` was made of.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: if it is something else.
        """
        saved = content["progress"]
        losses = {n: [(step, dict(v)) for step, v in ps] for n, ps in saved["losses"].items()}
        progress = Progress(**{**saved, "losses": losses})
        return cls(progress, content["model"], content["optimisers"], content["average"])


def steps_of(phase: Phase) -> int:
    """Return how many steps a phase takes: none without turns, where it only sees the data."""
    return phase.settings.steps if phase.turns else 0


def recipe_of(
    model: Trainable, images: Images, seed: int, augmented: bool, kept: tuple[int, ...]
) -> dict[str, Any]:
    """Return what decides on the numbers of a training, in plain values."""
    phases = {
        phase.name: {
            "steps": steps_of(phase),
            "turns": {t.name: [t.learning_rate, *t.betas] for t in phase.turns},
        }
        for phase in model.phases()
    }
    config = model.config.model_dump(mode="json", exclude=set(getattr(model, "of_sampling", ())))
    told, sample = getattr(images, "conditions", None), getattr(model, "sample", None)
    conditions = {}
    if told is not None and sample is not None and takes_condition(sample):
        content = repr(model.spec.conditions).encode() + told.numpy().tobytes()
        conditions = {"conditions": hashlib.sha256(content).hexdigest()}
    return conditions | {
        "model": type(model).__name__,
        "config": _deciding(model.config, config),
        "phases": phases,
        "images": len(images),
        "shape": [images.spec.channels, *getattr(images, "whole_shape", images.spec.shape)],
        "seed": seed,
        "augmented": augmented,
        "checkpoints": list(kept),
    }


def _deciding(config: Any, tree: Any) -> Any:
    """Return `tree`, the plain values of `config`, without settings that change no number here.

    States that were saved before there were such settings go on.
    """
    if isinstance(config, PhaseSettings):
        idle = {*WITHOUT_EFFECT, *(() if config.weight_decay else ("weight_decay",))}
        if config.schedule != "milestones":
            idle |= {"milestones", "milestone_unit", "gamma"}
        if config.schedule != "cosine" or not config.floor:
            idle.add("floor")
        return {key: value for key, value in tree.items() if key not in idle}
    if isinstance(config, BaseModel):
        return {key: _deciding(getattr(config, key), value) for key, value in tree.items()}
    if isinstance(config, Mapping):
        pairs = zip(config.values(), tree.items(), strict=True)
        return {key: _deciding(value, plain) for value, (key, plain) in pairs}
    return tree


def difference(old: Any, new: Any, where: str = "") -> str:
    """Return the first place where two trees of plain values differ, in words."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return "" if _listed(old) == _listed(new) else f"{where} was {old!r} and is now {new!r}"
    for key in [*old, *(k for k in new if k not in old)]:
        before, now = (tree.get(key, _NOT_THERE) for tree in (old, new))
        inner = difference(before, now, f"{where}.{key}" if where else str(key))
        if inner:
            return inner
    return ""


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value


PATIENCE = 20
"""The state is saved so seldom that writing takes at most about 1 / PATIENCE of the time."""


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a model after `step` steps of its last phase, in the file `path`."""

    step: int
    path: Path


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint of `step` lies in the folder of a training."""
    return folder / "checkpoints" / f"step-{step:06d}.pt"


def checkpoint_steps(steps: int, count: int) -> tuple[int, ...]:
    """Return `count` evenly spaced steps, the last = `steps`; fewer where there are fewer steps.

    >>> checkpoint_steps(900, 3)
    (300, 600, 900)
    >>> checkpoint_steps(0, 3)
    (0,)
    """
    if count < 1:
        raise UserError(f"checkpoints = {count}: there is one at least, the final one")
    found = {round(steps * (i + 1) / count) for i in range(count)}
    return tuple(sorted(found - {0})) or (0,)


@dataclass
class Checkpointer:
    """Keeps what a stopped training needs to go on, and the checkpoints of its last phase.

    Args:
        recipe: what decides on its numbers, kept with the state.
        steps: of the last phase, at which a checkpoint is written.
        save_every: least seconds between two savings of the state.
        writes: True in the one process that writes.

    Attributes:
        saved: the step of its phase that the saved state is of.
    """

    folder: Path
    recipe: Mapping[str, Any]
    steps: tuple[int, ...]
    save_every: float
    writes: bool
    saved: int = 0
    _when: float = field(default_factory=time.monotonic, repr=False)
    _cost: float = field(default=0.0, repr=False)

    @property
    def state_path(self) -> Path:
        """Where the state lies."""
        return self.folder / "state.pt"

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The whole series, written or not."""
        return tuple(Checkpoint(step, checkpoint_path(self.folder, step)) for step in self.steps)

    def load(self, model: Trainable) -> State | None:
        """Give `model` the weights of the state that an earlier call saved; None if there is none.

        Raises:
            UserError: if the file is damaged, or of a training with another recipe.
        """
        path = self.state_path
        if not path.exists():
            return None
        content = read_file(path)
        try:
            made, state = content["recipe"], State.from_plain(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path} is not the state of a training: {WAY_OUT}") from error
        changed = difference(made, self.recipe)
        if changed:
            raise UserError(
                f"{path} belongs to another training: {changed}.\n"
                f"To train anew, {WAY_OUT}; to keep both, choose another folder."
            )
        if state.model is not None:
            load_into(model, state.model, path)
        self.saved = state.progress.step
        return state

    def save(self, state: State) -> None:
        """Write the state, in one process."""
        start = time.monotonic()
        if self.writes:
            write_file(self.state_path, {"recipe": dict(self.recipe), **state.plain()})
        self.saved, self._when = state.progress.step, time.monotonic()
        self._cost = self._when - start

    def write(self, model: Trainable, step: int) -> None:
        """Write the checkpoint of `step`, in one process."""
        if self.writes:
            write_checkpoint(model, checkpoint_path(self.folder, step), step)

    def after_step(self, stepper: Stepper, progress: Progress, *, last: bool) -> None:
        """Write the checkpoint that is due after a step of a phase, and the state if it is time.

        After the last step it does nothing: the end of a phase is kept by `train_phase`.

        Args:
            last: True in the last phase, the only one with checkpoints.
        """
        if progress.step == stepper.phase.settings.steps:
            return
        ema, reached = stepper.ema, last and progress.step in self.steps
        if reached:
            with ema.applied() if ema else nullcontext():
                self.write(stepper.model, progress.step)
        if reached or time.monotonic() - self._when >= max(self.save_every, PATIENCE * self._cost):
            optimisers = {name: o.state_dict() for name, o in stepper.optimisers.items()}
            average = ema.state_dict() if ema else None
            self.save(State(progress, stepper.model.state_dict(), optimisers, average))


def restore(stepper: Stepper, state: State) -> None:
    """Give the optimisers and the average of a phase what an earlier call saved of them.

    Raises:
        UserError: if it does not fit.
    """
    if state.optimisers:
        restore_optimisers(stepper.optimisers, state.optimisers)
    if stepper.ema and state.average:
        stepper.ema.load_state_dict(state.average)


def restore_optimisers(optimisers: Mapping[str, Adam], saved: Mapping[str, Any]) -> None:
    """Give each turn's optimiser the state saved under the turn's name.

    Raises:
        UserError: if it does not fit.
    """
    try:
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(saved[name])
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"the saved optimisers do not fit this model ({error}): {WAY_OUT}"
        ) from error


def write_checkpoint(model: Trainable, path: Path, step: int) -> None:
    """Write the model's `state_dict`."""
    write_file(path, {"step": step, "model": model.state_dict()})


def load_checkpoint(model: Trainable, path: Path) -> None:
    """Give `model` the weights in `path`.

    Raises:
        UserError: if the file is missing, damaged, or of another model or configuration.
    """
    content = read_file(path)
    load_into(model, content.get("model"), path)


def load_weights(model: Trainable, path: Path) -> None:
    """Give `model` weights that are brought along: memtk's, or in a format that it knows itself.

    Raises:
        UserError: if the file is missing, damaged, or of another model or configuration.
    """
    take = getattr(model, "take_published", None)
    if take is None or is_ours(path):
        load_into(model, read_file(path, changed=True).get("model"), path)
    else:
        take(path)


def load_into(model: Trainable, weights: Any, path: Path) -> None:
    """Load `weights` into `model`. Buffers may change their size (`begin` may set it).

    Raises:
        UserError: if they do not fit.
    """
    try:
        _resize_buffers(model, weights)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        raise UserError(
            f"{path} does not fit {type(model).__name__} as it is configured now: "
            f"{reasons[0][:200]}\nIt was made with another configuration: {WAY_OUT}."
        ) from error


def _resize_buffers(model: Trainable, weights: Mapping[str, Tensor]) -> None:
    for prefix, module in model.named_modules():
        for name, buffer in list(module._buffers.items()):
            saved = weights.get(f"{prefix}.{name}" if prefix else name)
            if saved is not None and (buffer is None or buffer.shape != saved.shape):
                device = saved.device if buffer is None else buffer.device
                module._buffers[name] = torch.empty_like(saved, device=device)
