"""The state of a training that goes on after it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from memtk.errors import UserError
from memtk.interfaces import Images, Phase, PhaseSettings, Trainable
from memtk.interfaces.settings import WITHOUT_EFFECT
from memtk.training.checkpoints import FORMAT, WAY_OUT, read_file, write_file


class _Nothing:
    def __repr__(self) -> str:
        return "not there"


NOT_THERE = _Nothing()

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


def state_path(folder: Path) -> Path:
    """Return where the state lies in the folder of a training."""
    return folder / "state.pt"


def length(phase: Phase) -> int:
    """Return the steps of a phase; a phase without turns only looks at the data."""
    return phase.settings.steps if phase.turns else 0


def recipe_of(
    model: Trainable, images: Images, seed: int, augmented: bool, kept: tuple[int, ...]
) -> dict[str, Any]:
    """Return what decides on the numbers of a training, in plain values."""
    phases = {
        phase.name: {
            "steps": length(phase),
            "turns": {t.name: [t.learning_rate, *t.betas] for t in phase.turns},
        }
        for phase in model.phases()
    }
    return {
        "model": type(model).__name__,
        "config": _deciding(model.config, model.config.model_dump(mode="json")),
        "phases": phases,
        "images": len(images),
        "shape": [images.spec.channels, *images.spec.shape],
        "seed": seed,
        "augmented": augmented,
        "checkpoints": list(kept),
    }


def save_state(path: Path, state: State, recipe: Mapping[str, Any]) -> None:
    """Write the state, whole or not at all."""
    progress = {
        **vars(state.progress),
        "losses": {name: [list(p) for p in ps] for name, ps in state.progress.losses.items()},
        "precision": dict(state.progress.precision),
    }
    content = {"format": FORMAT, "recipe": dict(recipe), "progress": progress}
    rest = {"model": state.model, "optimisers": state.optimisers, "average": state.average}
    write_file(path, {**content, **rest})


def load_state(path: Path, recipe: Mapping[str, Any]) -> State | None:
    """Read the state of an earlier call, None if there is none.

    Raises:
        UserError: if the file is damaged, or of a training with another recipe.
    """
    if not path.exists():
        return None
    content = read_file(path)
    try:
        made, saved = content["recipe"], content["progress"]
        losses = {n: [(step, dict(v)) for step, v in ps] for n, ps in saved["losses"].items()}
        progress = Progress(**{**saved, "losses": losses})
        state = State(progress, content["model"], content["optimisers"], content["average"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is not the state of a training: {WAY_OUT}") from error
    difference = _difference(made, recipe)
    if difference:
        raise UserError(
            f"{path} belongs to another training: {difference}.\n"
            f"To train anew, {WAY_OUT}; to keep both, choose another folder."
        )
    return state


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


def _difference(old: Any, new: Any, where: str = "") -> str:
    """Return the first place where two trees of plain values differ, in words."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return "" if _plain(old) == _plain(new) else f"{where} was {old!r} and is now {new!r}"
    for key in [*old, *(k for k in new if k not in old)]:
        before, now = (tree.get(key, NOT_THERE) for tree in (old, new))
        inner = _difference(before, now, f"{where}.{key}" if where else str(key))
        if inner:
            return inner
    return ""


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
