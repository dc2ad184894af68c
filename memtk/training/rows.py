"""What a phase trains on: the images themselves, or what its frozen encoder makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from memtk.interfaces import Images
from memtk.noise import Noise, derive
from memtk.training.order import Order

Augment = Callable[[Tensor, Noise], Tensor]


class Rows(Protocol):
    """Rows of a phase, found by global sample position k (see `memtk.training.order`)."""

    def read(self, samples: Sequence[int]) -> Tensor:
        """Return the row of each sample, on the CPU."""
        ...

    def finish(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Do to the rows, by now on the device, what is drawn anew at each step."""
        ...

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield the training set once and in order, on the CPU."""
        ...


@dataclass(frozen=True)
class ImageRows:
    """The images (B, C, *S), augmented at each step. `batches` gives them as they are."""

    images: Images
    order: Order
    augment: Augment | None = None

    def read(self, samples: Sequence[int]) -> Tensor:
        """Return the image of each sample."""
        return self.images.read(self.order.images(samples))

    def finish(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Augment: sample k by stream k."""
        if self.augment is None:
            return x
        with torch.no_grad():
            seed = derive(self.order.seed, self.order.phase, "augment")
            return self.augment(x, Noise(seed, samples, x.device))

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield all images."""
        count = len(self.images)
        for start in range(0, count, size):
            yield self.images.read(range(start, min(start + size, count)))


@dataclass(frozen=True)
class EncodedRows:
    """Encodings on disk, (N * variants, ...): variant v of image i is row i * variants + v.

    A step takes one variant of each image at random; `batches` gives the first one of each.
    """

    path: Path
    table: np.ndarray
    order: Order
    variants: int

    def read(self, samples: Sequence[int]) -> Tensor:
        """Return an encoding of the image of each sample, its variant drawn from stream k."""
        images = np.asarray(self.order.images(samples))
        if self.variants > 1:
            noise = Noise(derive(self.order.seed, self.order.phase, "variant"), samples)
            images = images * self.variants + noise.integers(self.variants).numpy()
        return torch.from_numpy(self.table[images])

    def finish(self, x: Tensor, samples: Sequence[int]) -> Tensor:
        """Nothing: augmentation went before the encoder."""
        return x

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield one encoding of each image."""
        for start in range(0, self.order.count, size):
            rows = np.arange(start, min(start + size, self.order.count)) * self.variants
            yield torch.from_numpy(self.table[rows])
