"""What a stopped training needs to go on: how far it is, its weights, and what it was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from memtk.interfaces import Images, Phase, PhaseSettings, Trainable, takes_condition
from memtk.interfaces.settings import WITHOUT_EFFECT


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
