"""Scales the intensities of each image to [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memtk.errors import UserError


@dataclass(frozen=True)
class PercentileScaling:
    """Maps two percentiles of an image linearly to -1 and 1 and clips what lies outside.

    `y = clip(2 (x - p_low) / (p_high - p_low) - 1, -1, 1)`, with the percentiles over all voxels
    and channels of the one image, as it is stored: scanners of different scale become alike.

    Args:
        low: percentile in [0, 100) that becomes -1.
        high: percentile in (low, 100] that becomes 1.
    """

    low: float = 0.5
    high: float = 99.5

    def __call__(self, voxels: np.ndarray, name: str = "the image") -> np.ndarray:
        """Scale finite voxels (C, *S) of any unit to float32 (C, *S) in [-1, 1].

        Raises:
            UserError: if the two percentiles are equal, as in an image that is nearly blank.
        """
        exact = voxels.astype(np.float64)
        bottom, top = np.percentile(exact, [self.low, self.high])
        if not top > bottom:
            raise UserError(
                f"{name} is nearly blank: its percentiles {self.low:g} and {self.high:g} are both "
                f"{bottom:g}"
            )
        scaled = 2 * ((exact - bottom) / (top - bottom)) - 1
        return np.clip(scaled, -1, 1).astype(np.float32)

    def recipe(self) -> dict[str, object]:
        """Return what is done, for the result."""
        return {
            "method": "percentiles of each image, all voxels and channels together",
            "percentiles": [self.low, self.high],
            "range": [-1.0, 1.0],
            "clipped": True,
        }
