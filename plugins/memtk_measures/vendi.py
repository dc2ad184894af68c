"""Vendi score: how many different images there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from memtk.interfaces import Features, QualityMeasure
from memtk_measures.neighbours import some


class Vendi:
    """Effective number of different images, from 1 to n; higher = more diverse.

    `exp(-sum l log l)` over the eigenvalues l of K / n, where K (n, n) holds the cosines of the
    extractor's features: n images that have nothing in common score n, n copies of one score 1.
    Friedman and Dieng, arXiv 2210.02410.

    It needs no reference set. The line is that of validation images, which the extractor has seen
    no more than the synthetic ones; n is the number of images in the smaller of the two sets, drawn
    at random from the larger one, because the score grows with n.

    Pitfalls:
        All depends on the kernel: with features that are all positive (after a ReLU) any two images
        are alike, and the score is close to 1 for real images too. Compare with the line only.
        A generator that copies its training images is as diverse as they are.
    """

    space: Literal["features"] = "features"

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"vendi": ...}."""
        count = min(len(features.synthetic), len(features.validation))
        synthetic, real = (
            vendi(some(rows, count, "vendi")) for rows in (features.synthetic, features.validation)
        )
        note = ""
        if count < max(len(features.synthetic), len(features.validation)):
            note = f"Of {count} synthetic and {count} validation images, drawn at random."
        return {"vendi": QualityMeasure(synthetic, real, "higher", "each other", note)}


def vendi(rows: np.ndarray) -> float:
    """Return the score of features (n, D); NaN of none.

    >>> round(vendi(np.eye(3)), 6), round(vendi(np.ones((5, 2))), 6)
    (3.0, 1.0)
    """
    if not len(rows):
        return float("nan")
    rows = np.asarray(rows, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)  # (n, 1)
    rows = rows / np.maximum(norms, np.finfo(np.float64).tiny)
    # K and the smaller one of the two products have the same eigenvalues beside 0.
    product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    values = np.linalg.eigvalsh(product / len(rows))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))
