"""Which samples a step sees and in which micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from memtk.noise import Noise, derive
from memtk.training.devices import shard

Augment = Callable[[Tensor, Noise], Tensor]
"""`(x (B, C, *S), noise)` -> x, row i changed by stream i of `noise`."""


@dataclass(frozen=True)
class MicroBatch:
    """What one process computes at once in one step.

    Args:
        samples: global sample positions k, counted from the start of the phase.
        weight: its share in the step. The weights in all processes add up to 1.
        condition: what the generator is told of each sample, (B, K); None where it is told nothing.
    """

    samples: tuple[int, ...]
    weight: float
    condition: Tensor | None = field(default=None, compare=False)


def micro_batches(
    step: int, batch_size: int, accumulate: int, rank: int, world: int
) -> list[MicroBatch]:
    """Return the micro-batches of process `rank` at `step`. Their number is the same everywhere.

    Sample position k = step * batch_size + j for row j of the step. A micro-batch without rows
    (more processes than rows) takes the first one with weight 0: every process must take part in
    the exchange of gradients.

    >>> [part.samples for part in micro_batches(1, 4, accumulate=2, rank=0, world=1)]
    [(4, 5), (6, 7)]
    """
    rows = range(step * batch_size, (step + 1) * batch_size)
    mine = shard(rows, rank, world)
    count = min(accumulate, -(-batch_size // world))
    found = [tuple(shard(mine, j, count)) for j in range(count)]
    return [MicroBatch(samples or (rows[0],), len(samples) / batch_size) for samples in found]


def whole_batch(step: int, batch_size: int, world: int, count: int) -> list[MicroBatch]:
    """Return the batch of `step` unsplit, for each of `world` processes that all compute it.

    No image is in a batch twice (a contrastive loss would push it away from itself): a batch holds
    `count` images at most and lies within one epoch, whose last incomplete batch is left out.

    >>> [whole_batch(step, 4, 1, count=6)[0].samples for step in range(2)]
    [(0, 1, 2, 3), (6, 7, 8, 9)]
    """
    size = min(batch_size, count)
    epoch, batch = divmod(step, count // size)
    first = epoch * count + batch * size
    return [MicroBatch(tuple(range(first, first + size)), 1 / world)]


@dataclass(frozen=True)
class Order:
    """The images of a phase in the order they are seen: a new permutation in each epoch k // N."""

    seed: int
    phase: str
    count: int

    def images(self, samples: Sequence[int]) -> list[int]:
        """Return the image at each sample position."""
        return [
            _permutation(derive(self.seed, self.phase, "order", k // self.count), self.count)[
                k % self.count
            ]
            for k in samples
        ]


@dataclass(frozen=True)
class UnshuffledOrder(Order):
    """Sample position k is of image k mod N, for a private phase, whose steps sample at random."""

    def images(self, samples: Sequence[int]) -> list[int]:
        """Return the image at each sample position."""
        return [k % self.count for k in samples]


@lru_cache(maxsize=4)
def _permutation(seed: int, count: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
