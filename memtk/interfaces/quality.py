"""Quality and diversity of synthetic images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from memtk.interfaces.images import Images


class QualityMetric(Protocol):
    """Compares a set of synthetic images with a set of real ones."""

    def __call__(self, real: Images, fake: Images) -> Mapping[str, float]:
        """Return the measures by name. Which is better, higher or lower, the docstring says."""
        ...
