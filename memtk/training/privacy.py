"""A differentially private training: its units, budget and guarantee, by opacus's accountants."""

from __future__ import annotations

import json
import math
import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from memtk.errors import UserError
from memtk.files import write_text
from memtk.imaging.phantoms import phantom_of_shape
from memtk.interfaces import Images, ImageSpec, Phase, Private, Trainable
from memtk.noise import derive
from memtk.training.batches import MicroBatch
from memtk.training.checkpoints import steps_of
from memtk.training.devices import Devices

LEAST_NOISE, MOST_NOISE = 0.05, 1e5
"""Noise multipliers: below the one there is no privacy to speak of (a larger budget than it needs
is not spent), beyond the other nothing is learnt any more."""


@dataclass(frozen=True)
class PhaseBudget:
    """What one phase spends of a privacy budget: noisy steps at one sampling rate.

    Args:
        phase: that takes them.
        steps: how many.
        sample_rate: the chance of each unit to be in a step, in (0, 1].
    """

    phase: str
    steps: int
    sample_rate: float


@dataclass(frozen=True)
class PrivacyGuarantee:
    """The guarantee of a finished training; see `memtk.results.Privacy`, field by field."""

    epsilon: float
    delta: float
    unit: Literal["patient", "image"]
    units: int
    most_images: int
    noise_multiplier: float
    max_grad_norm: float
    phases: tuple[PhaseBudget, ...]
    accountant: Literal["rdp", "prv"]
    secret: bool
    notes: tuple[str, ...]


def epsilon_of(
    phases: Sequence[PhaseBudget], noise_multiplier: float, delta: float, accountant: str = "rdp"
) -> float:
    """Return epsilon of all steps together: of the subsampled Gaussian mechanism, composed.

    Poisson sampling: each unit is in a step independently of the others, as accountants suppose.

    Args:
        phases: of every phase that sees the data.
        noise_multiplier: above 0.
        delta: in (0, 1).
        accountant: "rdp" (Mironov, arXiv 1702.07476) or "prv" (Gopi et al., arXiv 2106.02848).
    """
    from opacus.accountants import create_accountant

    counted = create_accountant(mechanism=accountant)
    counted.history = [(noise_multiplier, s.sample_rate, s.steps) for s in phases if s.steps]
    if not counted.history:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on orders at the end of its list: still an upper bound
        return max(0.0, float(counted.get_epsilon(delta=delta)))


@lru_cache(maxsize=64)
def noise_for(
    phases: tuple[PhaseBudget, ...], epsilon: float, delta: float, accountant: str = "rdp"
) -> float:
    """Return the least noise multiplier, to a thousandth of it, that keeps to `epsilon`.

    Raises:
        UserError: if none does.
    """

    def excess(log_noise: float) -> float:
        found = epsilon_of(phases, math.exp(log_noise), delta, accountant)
        return math.log(max(found, 1e-12) / epsilon)

    low = high = 0.0
    while excess(high) > 0:
        low, high = high, high + math.log(2)
        if high > math.log(MOST_NOISE):
            raise UserError(
                f"no noise brings epsilon down to {epsilon:g} at delta = {delta:.2g} by the "
                f"accountant {accountant!r}: ask for a larger epsilon, or, of rdp, say "
                "--set dp-sgd.accountant=prv"
            )
    while low > math.log(LEAST_NOISE) and excess(low) <= 0:
        low, high = low - math.log(2), low
    if excess(low) <= 0:
        return LEAST_NOISE
    return math.exp(brentq(excess, low, high, xtol=4e-4) + 4e-4)


SECRET = "privacy.json"
"""Holds the seed of sampling and noise while a training is not finished."""

PHANTOMS = 16
"""How many phantoms a private phase is shown before its first step."""


@dataclass(frozen=True)
class PrivacyUnits:
    """The images, by ascending index, of each unit that is protected as a whole; N in all."""

    images: tuple[tuple[int, ...], ...]
    count: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def most(self) -> int:
        """The most images of one unit."""
        return max(map(len, self.images))

    def micro_batches(self, step: int, rate: float, seed: int) -> list[MicroBatch]:
        """Return the units of step number `step`, one micro-batch each; there may be none.

        Each unit is in the step with probability `rate`, whoever else is in (Poisson sampling).
        Sample position k = step * N + i for image i: what is drawn for an image depends on the step
        and the image, and on nothing else that is in the step.
        """
        stream = torch.Generator().manual_seed(seed)
        chosen = torch.rand(len(self), generator=stream, dtype=torch.float64) < rate
        drawn = [self.images[unit] for unit in chosen.nonzero().flatten().tolist()]
        rows, first = sum(map(len, drawn)), step * self.count
        return [MicroBatch(tuple(first + i for i in unit), len(unit) / rows) for unit in drawn]


def units_of(images: Images, unit: Literal["patient", "image"]) -> PrivacyUnits:
    """Return the units of a training set.

    Raises:
        UserError: if patients are asked for and not known.
    """
    count = len(images)
    if unit == "image":
        return PrivacyUnits(tuple((i,) for i in range(count)), count)
    patients: Sequence[str] = getattr(images, "patients", ())
    if len(patients) != count:
        raise UserError(
            "dp-sgd protects patients, and of these images none is known: say "
            "--set dp-sgd.unit=image to protect single images"
        )
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    found = (np.flatnonzero(owner == i) for i in range(int(owner.max()) + 1))
    return PrivacyUnits(tuple(tuple(rows.tolist()) for rows in found), count)


@dataclass(frozen=True)
class PrivacyBudget:
    """What a training may spend of its patients' privacy, and the noise that keeps to it.

    Args:
        units: of the training set.
        phases: the noisy steps of each.
        delta: at which epsilon is counted.
    """

    units: PrivacyUnits
    phases: tuple[PhaseBudget, ...]
    delta: float
    noise_multiplier: float


@dataclass(frozen=True)
class PrivateTraining:
    """What a private training goes by.

    Args:
        budget: and the noise that keeps to it.
        seed: of sampling and noise; a secret, unless asked otherwise.
        begins: whether a phase looks at the data before its first step.
    """

    settings: Private
    budget: PrivacyBudget
    seed: int
    begins: bool

    def rate(self, phase: str) -> float:
        """Return the chance of each unit to be in a step."""
        return next(p.sample_rate for p in self.budget.phases if p.phase == phase)

    def micro_batches(self, phase: str, step: int) -> list[MicroBatch]:
        """Return the units of a step, one micro-batch each."""
        seed = derive(self.seed, phase, "units", step)
        return self.budget.units.micro_batches(step, self.rate(phase), seed)

    def recipe(self) -> dict[str, Any]:
        """Return what decides on the numbers, in plain values."""
        spent = {"units": len(self.budget.units), "noise": self.budget.noise_multiplier}
        return asdict(self.settings) | spent

    def guarantee(self) -> PrivacyGuarantee:
        """Return the guarantee of the whole training."""
        asked, units, noise = self.settings, self.budget.units, self.budget.noise_multiplier
        phases, delta = self.budget.phases, self.budget.delta
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
        if asked.unit == "image" and units.count:
            notes.append(
                "The unit is an image: of a patient with n images the guarantee is n times weaker "
                "(n epsilon, and a larger delta)."
            )
        return PrivacyGuarantee(
            epsilon=epsilon_of(phases, noise, delta, asked.accountant),
            delta=delta,
            unit=asked.unit,
            units=len(units),
            most_images=units.most,
            noise_multiplier=noise,
            max_grad_norm=asked.max_grad_norm,
            phases=phases,
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
) -> PrivateTraining:
    """Return what a private training goes by. Called in every process.

    Args:
        seed: of the training; decides on the noise only where it need not be secret.
        folder: of the training, where a secret seed is kept until it is finished.

    Raises:
        UserError: if the model cannot be trained so, or the budget cannot be kept.
    """
    if devices.world > 1:
        raise UserError(
            f"dp-sgd trains in one process, and there are {devices.world}: start memtk without a "
            "launcher"
        )
    check_private(model, name)
    return PrivateTraining(
        settings=settings,
        budget=budget_of(settings, model, images),
        seed=_secret(folder) if settings.secret else derive(seed, "private"),
        begins=any(phase.begin is not None and steps_of(phase) for phase in model.phases()),
    )


def budget_of(settings: Private, model: Trainable, images: Images) -> PrivacyBudget:
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
    phases = tuple(  # a step takes batch_size of N images on average
        PhaseBudget(phase.name, steps_of(phase), min(1.0, phase.settings.batch_size / units.count))
        for phase in model.phases()
        if steps_of(phase)
    )
    noise = settings.noise_multiplier
    if noise is None:
        assert settings.epsilon is not None
        noise = noise_for(phases, settings.epsilon, delta, settings.accountant)
    return PrivacyBudget(units, phases, delta, noise)


def check_private(model: Trainable, name: str) -> None:
    """See that every phase can be trained privately.

    Raises:
        UserError: for the first that cannot, with the way out.
    """
    phases = tuple(model.phases())
    if not any(map(steps_of, phases)):
        raise UserError(f"dp-sgd: {name} takes no step of training: nothing of it can be private")
    for phase in phases:
        if reason := _obstacle(model, phase):
            out = "Choose another generator, or bring this part trained where it takes weights"
            if len(phase.turns) > 1 and not phase.whole_batch and hasattr(model.config, phase.name):
                out = f"Say --set {name.partition('+')[0]}.{phase.name}.steps=0, or choose another"
            raise UserError(
                f"dp-sgd cannot train phase {phase.name!r} of {name}: {reason}.\n{out}."
            )


def _obstacle(model: Trainable, phase: Phase) -> str:
    """Return why a phase cannot be trained privately, an empty text if it can."""
    if not phase.turns and phase.begin is not None:
        return "it takes the training images as they are, without a gradient that noise could hide"
    if not steps_of(phase):
        return ""
    if phase.whole_batch:
        return "its loss compares the images of a batch, so that no gradient is one image's alone"
    if len(phase.turns) > 1:
        turns = ", ".join(turn.name for turn in phase.turns)
        return f"its turns ({turns}) train against each other, which is not accounted for here"
    moved = {p for turn in phase.turns for p in turn.parameters()}
    for module in model.modules():
        if isinstance(module, _BatchNorm) and any(p in moved for p in module.parameters()):
            return "it has batch norms, which mix the images of a batch and keep their statistics"
    return ""


def delete_secret(folder: Path) -> None:
    """Throw the secret seed of a finished training away."""
    (folder / SECRET).unlink(missing_ok=True)


def _secret(folder: Path) -> int:
    """Return the seed of this training: of an earlier call, or from the system's randomness."""
    path = folder / SECRET
    with suppress(OSError, ValueError, KeyError, TypeError):  # a new secret is as good: what was
        seed = json.loads(path.read_text(encoding="utf-8"))["seed"]  # trained before stays private
        if isinstance(seed, int):
            return seed
    seed = secrets.randbits(62)
    write_text(path, json.dumps({"seed": seed}), private=True)
    return seed


def phantom_batches(
    phase: Phase, spec: ImageSpec, device: torch.device, size: int
) -> Iterator[Tensor]:
    """Yield phantoms in batches, in the place of the training images that `Phase.begin` is shown.

    Encoded where the phase trains on encodings. What it finds out there (a latent scale) goes into
    the generator that is released; from phantoms, which depend on no patient, at no privacy cost.
    """
    for start in range(0, PHANTOMS, size):
        numbers = range(start, min(start + size, PHANTOMS))
        made = np.stack([phantom_of_shape(i, spec.channels, spec.shape) for i in numbers])
        x = torch.from_numpy(made).to(device)  # (B, C, *S)
        yield x if phase.encode is None else phase.encode(x).float()
