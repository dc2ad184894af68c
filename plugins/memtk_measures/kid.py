"""Kernel distance of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from memtk.interfaces import Features, QualityMeasure
from memtk_measures.against import AgainstConfig, keyed, pair, sizes

ROWS = 1024


class Kid:
    """Squared maximum mean discrepancy of two sets of features; lower = better, about 0 if equal.

    With the kernel `k(x, y) = (x . y / D + 1)^3`, the unbiased estimate over all pairs:
    `mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`, no image with itself. Bińkowski et al., arXiv
    1801.01401.

    Reference set: the validation images (`against=training` for the training images: the measure is
    then called `kid.training`). The line is that of as many training images.

    Pitfalls:
        Being unbiased, it may be negative: that says that no difference could be measured.
        Unlike `fid` it may be compared between sets of different sizes, but it scatters; published
        values are often means over random subsets (torchmetrics: 100 of 1000 images), here all
        images are used at once.
        The kernel is not scale-free: it depends on how large the extractor's features are.
    """

    Config = AgainstConfig
    space: Literal["features"] = "features"

    def __init__(self, config: AgainstConfig) -> None:
        self.config = config

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"kid": ...}, or {"training": ...}."""
        against = self.config.against
        reference, stand_in = pair(features, against, "kid")
        value = kernel_distance(features.synthetic, reference)
        notes = [sizes(features, stand_in)] if len(stand_in) < 2 else []
        if value < 0:
            notes.append("Below 0: no difference could be measured.")
        real = kernel_distance(stand_in, reference)
        note = " ".join(note for note in notes if note)
        return {
            keyed("kid", against): QualityMeasure(value, real, "lower", f"{against} images", note)
        }


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased squared MMD of features (n, D) and (m, D); NaN if a set has one row."""
    n, m = len(x), len(y)
    if min(n, m) < 2:
        return float("nan")
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = _total(x, x, own=True) / (n * (n - 1)) + _total(y, y, own=True) / (m * (m - 1))
    return float(within - 2 * _total(x, y) / (n * m))


def _total(x: np.ndarray, y: np.ndarray, *, own: bool = False) -> float:
    """Sum the kernel over all pairs; with `own` none of a row with itself."""
    width = x.shape[1]
    total = sum(
        float(np.power(x[start : start + ROWS] @ y.T / width + 1, 3).sum())
        for start in range(0, len(x), ROWS)
    )
    if own:
        total -= float(np.power(np.square(x).sum(1) / width + 1, 3).sum())
    return total
