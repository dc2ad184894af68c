"""AuthPct: the share of the synthetic images that are no copies, by a rule of neighbours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from memtk.interfaces import Features, QualityMeasure
from memtk_measures.neighbours import nearest


class AuthPct:
    """Percentage of authentic synthetic images, 0 to 100; below its line = copies.

    A synthetic image g with the nearest training image x is authentic if it is further from x than
    x is from its own nearest other training image: `d(x, nearest other) < d(g, x)`. Alaa et al.,
    arXiv 2102.08921, section 3.3; Euclidean, on the extractor's features.

    Reference set: the training images. The line is that of the validation images in the place of
    the synthetic ones: real images that nobody copied. It is not 100, nor 50.

    Published implementations disagree:
        dgm-eval returns this percentage, and memtk does.
        FLD (marcojira/fld) returns it less 50, as if 50 were what fresh images score.
        synthcity's `AlphaPrecision` asks of each *real* image whether its nearest synthetic one is
        nearer than the nearest real one, and takes the latter's distance from the row whose number
        is that of the synthetic image: another image's. It returns a share.
        The authors' own code returns this share, not a percentage.

    Pitfalls:
        A synthetic image far from all real ones is authentic: high values are no quality.
        Where a patient has several training images, these are near to each other, and copies of
        them pass as authentic; then the line is high too.
        It is a count of few images: what chance gives is in the note, as if images were
        independent. Several images of a patient are not, and chance gives more.
    """

    space: Literal["features"] = "features"

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"authpct": ...}."""
        value, real = (
            authentic_percentage(features.training, rows)
            for rows in (features.synthetic, features.validation)
        )
        note = "One training image has no other beside it."
        if len(features.training) > 1:
            share, sizes = real / 100, (len(features.synthetic), len(features.validation))
            spread = 100 * math.sqrt(share * (1 - share) * sum(1 / n for n in sizes))
            note = (
                f"Of {sizes[0]} synthetic and {sizes[1]} validation images: {1.96 * spread:.0f} "
                "points between them may be chance."
            )
        return {"authpct": QualityMeasure(value, real, "real", "training images", note)}


def authentic_percentage(training: np.ndarray, rows: np.ndarray) -> float:
    """Return the percentage of `rows` (M, D) that are authentic; NaN with one training image."""
    if len(training) < 2:
        return float("nan")
    apart = nearest(training, training, own=True)[0][:, 0]  # (N,)
    distance, index = nearest(rows, training)
    return float(100 * (apart[index[:, 0]] < distance[:, 0]).mean())
