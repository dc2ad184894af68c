"""Precision, recall, density and coverage of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from memtk.interfaces import Features, QualityMeasure
from memtk_measures.against import AgainstConfig, keyed, nearest, pair, sizes, tiles


class PrdcConfig(AgainstConfig):
    """The size of a neighbourhood."""

    k: int = Field(5, ge=1, description="neighbours that a neighbourhood reaches to")


class Prdc:
    """Precision, density, recall and coverage by neighbourhoods; higher = better.

    Every image has a ball that reaches to its k-th nearest neighbour in its own set.
    `precision`: share of the synthetic images inside a real ball; `recall`: share of the real
    images inside a synthetic ball (Kynkäänniemi et al., arXiv 1904.06991). `density`: real balls
    that hold a synthetic image, on average, divided by k; may exceed 1; `coverage`: share of the
    real balls that hold a synthetic image (Naeem et al., arXiv 2002.09797). Inside is nearer than
    the edge, Euclidean, on the extractor's features.

    Reference set: the validation images (`against=training` for the training images, of whom a
    generator that copies them all has the recall 1: `prdc.recall.training`). The line is that of
    as many training images.

    Pitfalls:
        Recall and coverage grow with the number of synthetic images, precision with that of the
        real ones: compare at equal sizes, with the line.
        One outlier has a huge ball: precision and recall suffer from it, density and coverage less.
        They do not tell a copy from a new image.
    """

    Config = PrdcConfig
    space: Literal["features"] = "features"

    def __init__(self, config: PrdcConfig) -> None:
        self.config = config

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"precision": ..., "recall": ..., "density": ..., "coverage": ...}."""
        against = self.config.against
        reference, stand_in = pair(features, against, "prdc")
        # One number of neighbours for both, so that the line can be compared with.
        k = min(self.config.k, *(len(s) - 1 for s in (reference, stand_in, features.synthetic)))
        notes = [sizes(features, stand_in)]
        if k < 1:
            notes = ["One image in a set has no neighbour in it: not computed."]
        elif k < self.config.k:
            notes.append(f"So few images have {k} neighbours at most: k = {k}.")
        note = " ".join(n for n in notes if n)
        values, lines = (prdc(reference, s, k) for s in (features.synthetic, stand_in))
        return {
            keyed(name, against): QualityMeasure(
                value, lines[name], "higher", f"{against} images", note
            )
            for name, value in values.items()
        }


def prdc(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """Return the four measures of features (R, D) and (F, D); NaN if k is 0.

    Args:
        k: less than R and than F.
    """
    if k < 1:
        return dict.fromkeys(("precision", "recall", "density", "coverage"), float("nan"))
    reach_real = nearest(real, real, k, own=True)[0][:, -1]  # (R,)
    reach_fake = nearest(fake, fake, k, own=True)[0][:, -1]  # (F,)
    balls = np.empty(len(fake))  # real balls that hold each synthetic image
    recalled, closest = np.zeros(len(real), bool), np.full(len(real), np.inf)
    for rows, distances in tiles(fake, real):
        balls[rows] = (distances < reach_real).sum(1)
        recalled |= (distances < reach_fake[rows, None]).any(0)
        closest = np.minimum(closest, distances.min(0))
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(balls.mean() / k),
        "coverage": float((closest < reach_real).mean()),
    }
