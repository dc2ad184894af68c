"""A differentially private training: what is asked, whether it can be, and what it spends."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm

from memtk.errors import UserError
from memtk.files import write_text
from memtk.interfaces import Images, Phase, Private, Trainable
from memtk.noise import derive
from memtk.training.accounting import Spend, Spent, epsilon_of, noise_for
from memtk.training.devices import Devices
from memtk.training.order import Part
from memtk.training.state import length
from memtk.training.units import Units, units_of

SECRET = "privacy.json"
"""Holds the seed of sampling and noise while a training is not finished."""


@dataclass(frozen=True)
class PrivateRun:
    """What a private training goes by.

    Args:
        settings: as asked.
        units: of the training set.
        noise_multiplier: of every step.
        delta: at which epsilon is counted.
        spends: of every phase.
        seed: of sampling and noise; a secret, unless asked otherwise.
        begins: whether a phase looks at the data before its first step.
    """

    settings: Private
    units: Units
    noise_multiplier: float
    delta: float
    spends: tuple[Spend, ...]
    seed: int
    begins: bool

    def rate(self, phase: str) -> float:
        """Return the chance of each unit to be in a step."""
        return next(spend.sample_rate for spend in self.spends if spend.phase == phase)

    def parts(self, phase: str, step: int) -> list[Part]:
        """Return the units of a step, one part each."""
        seed = derive(self.seed, phase, "units", step)
        return self.units.parts(step, self.rate(phase), seed)

    def noise_seed(self, phase: str, step: int) -> int:
        """Return the seed of the noise of a step."""
        return derive(self.seed, phase, "noise", step)

    def recipe(self) -> dict[str, Any]:
        """Return what decides on the numbers, in plain values."""
        return asdict(self.settings) | {"units": len(self.units), "noise": self.noise_multiplier}

    def spent(self) -> Spent:
        """Return the guarantee of the whole training."""
        asked = self.settings
        notes = [
            "It covers the generator and what is sampled from it, each training for itself: not "
            "the choice between several, the embedder, the losses or this report."
        ]
        if self.begins:
            notes.append(
                "What a phase finds out before it begins (the scale of latents) is found on "
                "phantoms, so that it tells nothing of a patient."
            )
        if not asked.secret:
            notes.append(
                "The noise follows from the run's seed: whoever knows the seed can take it off."
            )
        if asked.unit == "image" and self.units.count:
            notes.append(
                "The unit is an image: of a patient with n images the guarantee is n times weaker "
                "(n epsilon, and a larger delta)."
            )
        return Spent(
            epsilon=epsilon_of(self.spends, self.noise_multiplier, self.delta, asked.accountant),
            delta=self.delta,
            unit=asked.unit,
            units=len(self.units),
            most_images=self.units.most,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=asked.max_grad_norm,
            spends=self.spends,
            accountant=asked.accountant,
            secret=asked.secret,
            notes=tuple(notes),
        )


def make_private(
    settings: Private,
    model: Trainable,
    images: Images,
    *,
    seed: int,
    folder: Path,
    devices: Devices,
    name: str,
) -> PrivateRun:
    """Return what a private training goes by. Called in every process.

    Args:
        seed: of the training; decides on the noise only where it need not be secret.
        folder: of the training, where a secret seed is kept until it is finished.
        name: of the model, for messages.

    Raises:
        UserError: if the model cannot be trained so, or the budget cannot be kept.
    """
    if devices.world > 1:
        raise UserError(
            f"dp-sgd trains in one process, and there are {devices.world}: start memtk without a "
            "launcher"
        )
    check_private(model, name)
    budget = budget_of(settings, model, images)
    return PrivateRun(
        settings=settings,
        units=budget.units,
        noise_multiplier=budget.noise_multiplier,
        delta=budget.delta,
        spends=budget.spends,
        seed=_secret(folder) if settings.secret else derive(seed, "private"),
        begins=any(phase.begin is not None and length(phase) for phase in model.phases()),
    )


@dataclass(frozen=True)
class Budget:
    """What a training may spend, and the noise that keeps to it; see `PrivateRun`."""

    units: Units
    spends: tuple[Spend, ...]
    delta: float
    noise_multiplier: float


def budget_of(settings: Private, model: Trainable, images: Images) -> Budget:
    """Return the noise of a private training on these images.

    Raises:
        UserError: if delta is too large, no noise keeps to epsilon, or patients are not known.
    """
    units = units_of(images, settings.unit)
    delta = settings.delta if settings.delta is not None else 0.1 / len(units)
    if delta >= 1 / len(units):
        raise UserError(
            f"dp-sgd.delta = {delta:g}: with {len(units)} {settings.unit}s it must be below "
            f"{1 / len(units):.2g}, or one of them may be given away whole"
        )
    spends = spends_of(tuple(model.phases()), units.count)
    noise = settings.noise_multiplier
    if noise is None:
        assert settings.epsilon is not None
        noise = noise_for(spends, settings.epsilon, delta, settings.accountant)
    return Budget(units, spends, delta, noise)


def spends_of(phases: Sequence[Phase], count: int) -> tuple[Spend, ...]:
    """Return the noisy steps of each phase; a step takes `batch_size` of N images on average."""
    return tuple(
        Spend(phase.name, length(phase), min(1.0, phase.settings.batch_size / count))
        for phase in phases
        if length(phase)
    )


def check_private(model: Trainable, name: str) -> None:
    """See that every phase can be trained privately.

    Raises:
        UserError: for the first that cannot, with the way out.
    """
    phases = tuple(model.phases())
    if not any(length(phase) for phase in phases):
        raise UserError(
            f"dp-sgd: {name} takes no step of training, so that nothing of it can be private"
        )
    for phase in phases:
        reason = _against(model, phase)
        if reason:
            out = "Choose another generator, or bring this part trained where it takes weights"
            if len(phase.turns) > 1 and not phase.whole_batch and hasattr(model.config, phase.name):
                out = f"Say --set {name.partition('+')[0]}.{phase.name}.steps=0, or choose another"
            raise UserError(
                f"dp-sgd cannot train phase {phase.name!r} of {name}: {reason}.\n{out}."
            )


def _against(model: Trainable, phase: Phase) -> str:
    """Return why a phase cannot be trained privately, an empty text if it can."""
    if not phase.turns and phase.begin is not None:
        return "it takes the training images as they are, without a gradient that noise could hide"
    if not length(phase):
        return ""
    if phase.whole_batch:
        return "its loss compares the images of a batch, so that no gradient is one image's alone"
    if len(phase.turns) > 1:
        turns = ", ".join(turn.name for turn in phase.turns)
        return (
            f"its turns ({turns}) train against each other on the same images, which is not "
            "accounted for here"
        )
    moved = {p for turn in phase.turns for p in turn.parameters()}
    for module in model.modules():
        if isinstance(module, _BatchNorm) and any(p in moved for p in module.parameters()):
            return "it has batch norms, which mix the images of a batch and keep their statistics"
    return ""


def forget(folder: Path) -> None:
    """Throw the secret seed of a finished training away."""
    (folder / SECRET).unlink(missing_ok=True)


def _secret(folder: Path) -> int:
    """Return the seed of this training: of an earlier call, or from the system's randomness."""
    path = folder / SECRET
    try:
        seed = json.loads(path.read_text(encoding="utf-8"))["seed"]
        if isinstance(seed, int):
            return seed
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a new secret is as good; what was trained with the old one stays private
    seed = secrets.randbits(62)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"seed": seed}))
    os.chmod(path, 0o600)
    return seed
