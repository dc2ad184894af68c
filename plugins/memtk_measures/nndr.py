"""Nearest-neighbour distance ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from memtk.interfaces import Features, QualityMeasure
from memtk_measures.neighbours import nearest


class Nndr:
    """Distance to the nearest training image over that to the second nearest, 0 to 1; low = copies.

    A copy lies at one training image and far from all others: its ratio is near 0. An image that
    is nobody's lies between several: its ratio is near 1. Lowe (IJCV 60, 2004) tells matches by
    it; synthetic data are judged by it as in Zhao et al., arXiv 2102.08369. `nndr` is the mean over
    the synthetic images, `nndr.p5` the 5th percentile, which a few copies move. Euclidean, on the
    extractor's features.

    Reference set: the training images. The line is that of the validation images in the place of
    the synthetic ones.

    Pitfalls:
        Where a patient has several training images, or an image is in the training set twice, the
        second nearest is as near as the nearest, and a copy goes unnoticed. Two exact copies (0
        over 0) count as 0.
        It depends on N: with more training images all ratios come nearer to 1.
    """

    space: Literal["features"] = "features"

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"nndr": ..., "p5": ...}."""
        synthetic, real = (
            ratios(features.training, rows) for rows in (features.synthetic, features.validation)
        )
        note = "" if len(features.training) > 1 else "One training image has no second beside it."
        return {
            "nndr": QualityMeasure(
                float(synthetic.mean()), float(real.mean()), "real", "training images", note
            ),
            "p5": QualityMeasure(
                float(np.percentile(synthetic, 5)),
                float(np.percentile(real, 5)),
                "real",
                "training images",
                note,
            ),
        }


def ratios(training: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the ratio of each of `rows` (M, D): (M,), NaN with one training image.

    >>> ratios(np.array([[0.0], [4.0]]), np.array([[1.0], [2.0], [0.0]])).round(3).tolist()
    [0.333, 1.0, 0.0]
    """
    if len(training) < 2:
        return np.full(len(rows), np.nan)
    first, second = nearest(rows, training, 2)[0].T  # (M,), (M,)
    return np.divide(first, second, out=np.zeros_like(first), where=second > 0)
