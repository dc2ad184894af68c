"""Images of nobody, where a phase would look at the training images without noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from memtk.imaging.phantoms import phantom
from memtk.interfaces import ImageSpec, Phase

COUNT = 16
"""How many phantoms are shown."""


def stand_ins(phase: Phase, spec: ImageSpec, device: torch.device, size: int) -> Iterator[Tensor]:
    """Yield phantoms in batches, as the phase would be given the training images: encoded or not.

    What a phase finds out in `begin` (a latent scale) goes into the generator that is released.
    From phantoms, which depend on no patient, it costs no privacy.
    """
    for start in range(0, COUNT, size):
        numbers = range(start, min(start + size, COUNT))
        x = torch.stack([_fresh(number, spec) for number in numbers]).to(device)  # (B, C, *S)
        yield x if phase.encode is None else phase.encode(x).float()


def _fresh(number: int, spec: ImageSpec) -> Tensor:
    """Return a phantom (C, *S): the middle of a cube with the longest side of S."""
    cube = phantom(number, 0, dims=spec.dims, size=max(spec.shape))[0]
    starts = [(max(spec.shape) - side) // 2 for side in spec.shape]
    middle = cube[tuple(slice(a, a + n) for a, n in zip(starts, spec.shape, strict=True))]
    return torch.from_numpy(np.repeat(middle[None], spec.channels, axis=0).astype(np.float32))
