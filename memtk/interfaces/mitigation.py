"""Ways to make a generator memorize less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from memtk.interfaces.images import Images
from memtk.interfaces.settings import ComponentConfig
from memtk.noise import Noise


class Mitigation:
    """Changes the training set, the images at each step, the settings or the release.

    A subclass overrides what it needs; each method here changes nothing. Several combine: they
    are applied in the order they are named.
    """

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def choose(self, patients: Sequence[str], rng: np.random.Generator) -> np.ndarray:
        """Return the indices, ascending, of the training images to keep.

        Args:
            patients: the patient of each training image.
            rng: seeded by the run.
        """
        return np.arange(len(patients))

    def augment(self, x: Tensor, noise: Noise) -> Tensor:
        """Return training images (B, C, *S), changed; row i by stream i of `noise`."""
        return x

    def adjust(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the generator's configuration (its `Config` as a nested dict), changed."""
        return settings

    def release(self, synthetic: Images) -> np.ndarray:
        """Return the indices of the synthetic images (M) that may go out; the others are dropped.

        What was chosen by a score cannot be tested by that score again.
        """
        return np.arange(len(synthetic))
