"""Small images for the checks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from memtk.interfaces import ImageSpec
from memtk.noise import Noise

SPEC = ImageSpec((16, 16, 16))
"""Shape of the images of the checks where the author names no other."""

FLAT = ImageSpec((32, 32))
"""The same for what works on 2D images alone."""


def smooth_images(spec: ImageSpec, count: int, seed: int = 0) -> Tensor:
    """Return `count` different smooth images: float32 (count, C, *S) in [-1, 1]."""
    coarse = Noise(seed, range(count)).uniform(spec.channels, *[4] * spec.dims)
    mode = "trilinear" if spec.dims == 3 else "bilinear"
    return F.interpolate(coarse * 2 - 1, size=spec.shape, mode=mode)  # (count, C, *S)
