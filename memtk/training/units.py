"""Whose data a private step takes: each unit by a coin of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from memtk.errors import UserError
from memtk.interfaces import Images
from memtk.training.order import Order, Part


@dataclass(frozen=True)
class Units:
    """The images of each unit that is protected as a whole.

    Args:
        images: their indices, ascending, by unit.
        count: number of images N.
    """

    images: tuple[tuple[int, ...], ...]
    count: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def most(self) -> int:
        """The most images of one unit."""
        return max(map(len, self.images))

    def draw(self, rate: float, seed: int) -> list[int]:
        """Return the units of one step: each is in with probability `rate` (Poisson sampling)."""
        coins = torch.rand(
            len(self), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        return torch.nonzero(coins < rate).flatten().tolist()

    def parts(self, step: int, rate: float, seed: int) -> list[Part]:
        """Return the units of step number `step`, one part each; there may be none.

        Sample position k = step * N + i for image i: what is drawn for an image depends on the step
        and the image, and on nothing else that is in the step.
        """
        drawn = self.draw(rate, seed)
        rows = sum(len(self.images[unit]) for unit in drawn)
        return [
            Part(
                tuple(step * self.count + i for i in self.images[unit]),
                len(self.images[unit]) / rows,
            )
            for unit in drawn
        ]


def units_of(images: Images, unit: Literal["patient", "image"]) -> Units:
    """Return the units of a training set.

    Raises:
        UserError: if patients are asked for and not known.
    """
    count = len(images)
    if unit == "image":
        return Units(tuple((i,) for i in range(count)), count)
    patients: Sequence[str] = getattr(images, "patients", ())
    if len(patients) != count:
        raise UserError(
            "dp-sgd protects patients, and of these images none is known: say "
            "--set dp-sgd.unit=image to protect single images"
        )
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    found = (np.flatnonzero(owner == i) for i in range(int(owner.max()) + 1))
    return Units(tuple(tuple(rows.tolist()) for rows in found), count)


@dataclass(frozen=True)
class Listed(Order):
    """Sample position k is of image k mod N: no permutation, the coins decide."""

    def images(self, samples: Sequence[int]) -> list[int]:
        """Return the image at each sample position."""
        return [k % self.count for k in samples]
