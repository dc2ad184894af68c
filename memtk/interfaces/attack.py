"""Membership attacks: was this patient in the training set?"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from memtk.interfaces.generator import Generator
from memtk.interfaces.images import Images


class Attack(Protocol):
    """Scores images by how sure it is that the generator was trained on them."""

    def __call__(
        self, generator: Generator, members: Images, non_members: Images
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of both sets, (N,) and (V,); higher = more likely a member."""
        ...
