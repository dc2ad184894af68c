"""Augmentation of the training images."""

from __future__ import annotations

from torch import Tensor

from memtk.imaging import augmentation
from memtk.interfaces import Mitigation
from memtk.noise import Noise


class Augment(Mitigation):
    """Changes training images anew each time they are shown.

    A flip of the last axis and a rotation by U(-5, 5) degrees, each with probability 1/2. A phase
    with a frozen encoder, as the diffusion of a latent model, draws from as many changed versions
    of each image as its setting `variants` says, encoded once: 8 unless it is set.

    Reference: Dar et al., arXiv 2402.01054, section 2.4.3.
    """

    def augment(self, x: Tensor, noise: Noise) -> Tensor:
        """Return training images (B, C, *S) in [-1, 1], changed; row i by stream i of `noise`."""
        return augmentation.augment(x, noise)
