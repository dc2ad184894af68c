"""Planted copies: training images changed in known ways, to measure whether copies are found.

Lengths are fractions of the image's sides, so that a kind means the same at every size. Every
change takes images (B, C, *S) in [-1, 1] and returns such; row i depends on stream i of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from memtk.imaging.augmentation import add_noise, blur, contrast, flip, rotate, shift
from memtk.noise import Noise


@dataclass(frozen=True)
class Plant:
    """One kind of change, at graded strengths.

    Args:
        kind: its name.
        unit: of the strength; "" for a change that has none.
        strengths: ascending; what lies above `nominal` asks for more than a copy detector is
            trained against.
        nominal: the strongest that `mixed` draws.
        make: `(x, strength, noise) -> x`; directions are drawn, the strength is exact.
    """

    kind: str
    unit: str
    strengths: tuple[float, ...]
    nominal: float
    make: Callable[[Tensor, float | Tensor, Noise], Tensor]


def _exact(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return x


def _flip(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return flip(x, -1, _each(strength, x) > 0)


def _rotation(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    """Turn by exactly `strength` degrees: in the plane, or about one axis of three."""
    dims = x.dim() - 2
    degrees = _each(strength, x) * _sign(noise)  # (B,)
    if dims == 2:
        return rotate(x, degrees[:, None])
    axis = torch.nn.functional.one_hot(noise.integers(dims).long(), dims)  # (B, 3)
    return rotate(x, degrees[:, None] * axis)


def _contrast(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    """Raise intensities to the power `strength` or its inverse."""
    return contrast(x, _each(strength, x) ** _sign(noise))


def _blur(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return blur(x, _each(strength, x) / 100 * min(x.shape[2:]))


def _noise(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    return add_noise(x, _each(strength, x) / 100 * 2, noise)


def _shift(x: Tensor, strength: float | Tensor, noise: Noise) -> Tensor:
    """Move by `strength` per cent of the image's sides, in a direction drawn at random."""
    size = torch.tensor(x.shape[2:], dtype=torch.float32, device=x.device)
    direction = noise.normal(len(size))
    direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12)  # (B, dims)
    return shift(x, direction * size * _each(strength, x)[:, None] / 100)


PLANTS = (
    Plant("exact", "", (0.0,), 0.0, _exact),
    Plant("flip", "", (1.0,), 1.0, _flip),
    Plant("rotation", "degrees", (2.0, 5.0, 10.0), 5.0, _rotation),
    Plant("contrast", "gamma", (1.15, 1.35, 1.8), 1.35, _contrast),
    Plant("blur", "% of the side", (1.5, 3.0, 6.0), 3.0, _blur),
    Plant("noise", "% of the range", (1.0, 3.0, 10.0), 3.0, _noise),
    Plant("shift", "% of the sides", (1.0, 3.0, 6.0), 3.0, _shift),
)
"""The kinds of planted copies. "exact" and "flip" have one strength."""


def mixed(x: Tensor, noise: Noise) -> Tensor:
    """Change each row in several ways at once, as a generator's copies differ from the originals.

    Rotation, flip, contrast, blur, noise and shift, each with probability 1/2 and, where it has a
    strength, uniformly up to the nominal one. One row in 64 stays as it is.
    """
    for plant in PLANTS[1:]:
        draw = noise.uniform(2)  # (B, 2)
        chosen = (draw[:, 0] < 0.5).to(x.device)
        amount = draw[:, 1].to(x.device)
        if plant.kind == "flip":
            strength = torch.ones_like(amount)
        elif plant.kind == "contrast":
            strength = torch.exp(amount * math.log(plant.nominal))
        else:
            strength = amount * plant.nominal
        none = 1.0 if plant.kind == "contrast" else 0.0
        x = plant.make(x, torch.where(chosen, strength, torch.full_like(strength, none)), noise)
    return x


def _each(strength: float | Tensor, x: Tensor) -> Tensor:
    """Return the strength of each row, (B,)."""
    return torch.as_tensor(strength, dtype=torch.float32, device=x.device).expand(len(x))


def _sign(noise: Noise) -> Tensor:
    return torch.where(noise.uniform(1)[:, 0] < 0.5, -1.0, 1.0)  # (B,)
