"""Quality and diversity of synthetic images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from memtk.interfaces.images import Images

Better = Literal["higher", "lower", "real"]
"""Which values are good: high ones, low ones, or those that real images have among themselves."""


@dataclass(frozen=True)
class QualityMeasure:
    """One number on a set of synthetic images, with what real images score.

    Args:
        value: of the synthetic images; NaN where it is undefined, with the reason in `note`.
        real: the same with real images in the place of the synthetic ones: the line to compare
            with. None where there is none.
        better: which values are good.
        against: what the synthetic images were compared with, in a few words: "validation images".
        note: what a reader must know of this very number, in a sentence: a pitfall that bites at
            these sizes. Empty where there is nothing to say.
    """

    value: float
    real: float | None = None
    better: Better = "real"
    against: str = ""
    note: str = ""


@dataclass(frozen=True)
class Features:
    """What one network makes of all images of a cell, float32, a row an image.

    Args:
        training: the images that the generator learned from, (N, D).
        validation: real images of other patients, (V, D).
        synthetic: (M, D).
    """

    training: np.ndarray
    validation: np.ndarray
    synthetic: np.ndarray


class QualityMetric(Protocol):
    """Compares a set of synthetic images with a set of real ones.

    Class attributes:
        space: what it compares. "image", also where it is missing: it is called with the validation
            and the synthetic images. "features": it is a `FeatureMetric`.
    """

    def __call__(self, real: Images, fake: Images) -> Mapping[str, float | QualityMeasure]:
        """Return the measures by name; a float does not say which values are good."""
        ...


class FeatureMetric(Protocol):
    """Compares sets of feature vectors, which the core computes once for all such metrics.

    They are made by the extractor of the bench: its copy detector, or another embedder that the
    option `extractor` names. Its name is a part of the measure's: "fid[medicalnet3d]".
    """

    space: Literal["features"]

    def __call__(self, features: Features) -> Mapping[str, float | QualityMeasure]:
        """Return the measures by name."""
        ...
