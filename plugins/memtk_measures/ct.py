"""C_T: a test whether synthetic images lie nearer to the training images than unseen real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.cluster.vq import kmeans2, vq
from scipy.stats import rankdata

from memtk.interfaces import ComponentConfig, Features, QualityMeasure
from memtk.noise import derive
from memtk_measures.neighbours import nearest


class CtConfig(ComponentConfig):
    """The cells that the features are divided into."""

    cells: int | None = Field(
        None,
        ge=1,
        description="cells by k-means of the training images; none: one for each 50 images of the "
        "smallest set, 10 at most",
    )
    least: int = Field(
        20, ge=1, description="synthetic images that a cell must hold to count, of several cells"
    )


class Ct:
    """Data-copying test C_T; far below 0 = copies, far above 0 = further away than real images.

    In each cell the distances of synthetic and of validation images to their nearest training image
    of that cell are compared by a Mann-Whitney test: `Z = (U - m v / 2) / sqrt(m v (m + v + 1) /
    12)`, where U counts the pairs in which the synthetic image is further away. C_T is the mean of
    Z over cells, weighed with their validation images. Meehan, Chaudhuri and Dasgupta, arXiv
    2004.05675. Euclidean, on the extractor's features; cells by k-means of the training images.

    It needs all three sets: the distances are to the training images, and the validation images
    are what the synthetic ones are compared with. The line is 0: two sets of unseen real images
    score 0 on average, whatever the sizes. What chance alone gives about it is in the note.

    Published implementations (the authors', and FLD and dgm-eval after them) shift U by 1/2, always
    use 3 cells, first reduce wide features to 64 principal components, and stop where a cell is
    without real images. Here such a cell is left out, and so is one with fewer than `least`
    synthetic images.

    Pitfalls:
        It averages over all images: a few copies among many other images do not show.
        It tells more the more images there are: its size is evidence, not extent.
        Several images of a patient are not independent: chance alone then gives more.
    """

    Config = CtConfig
    space: Literal["features"] = "features"

    def __init__(self, config: CtConfig) -> None:
        self.config = config

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"ct": ...}."""
        smallest = min(map(len, (features.training, features.validation, features.synthetic)))
        count = min(self.config.cells or min(10, max(1, smallest // 50)), len(features.training))
        least = self.config.least if count > 1 else 1
        value, spread, used = data_copying(features, cells_of(features, count), least)
        against = "training images, by the distance of validation images"
        if not used:
            note = "No cell holds enough images of all three sets: not computed."
        else:
            note = f"Chance alone: {-1.96 * spread:.1f} to {1.96 * spread:.1f}"
            note += f"; {used} of {count} cells." if count > 1 else "."
        return {"ct": QualityMeasure(value, 0.0, "real", against, note)}


def cells_of(features: Features, count: int) -> Features:
    """Return the cell of each image, (N,), (V,), (M,), by k-means of the training images."""
    training = np.asarray(features.training, np.float64)
    rng = np.random.default_rng(derive(0, "ct", count))
    start = training[np.sort(rng.choice(len(training), count, replace=False))]
    centres = start if count == 1 else kmeans2(training, start, iter=50, minit="matrix")[0]
    sets = (features.training, features.validation, features.synthetic)
    return Features(*(vq(np.asarray(rows, np.float64), centres)[0] for rows in sets))


def data_copying(features: Features, cells: Features, least: int) -> tuple[float, float, int]:
    """Return C_T, its spread if all images came from one distribution, and the cells that count.

    Args:
        features: of the images.
        cells: the number of each image's cell.
        least: synthetic images of a cell that counts.
    """
    scores, weights = [], []
    for cell in np.unique(cells.training):
        training, validation, synthetic = (
            rows[which == cell]
            for rows, which in (
                (features.training, cells.training),
                (features.validation, cells.validation),
                (features.synthetic, cells.synthetic),
            )
        )
        if len(validation) and len(synthetic) >= least:
            near, fresh = (nearest(rows, training)[0][:, 0] for rows in (synthetic, validation))
            scores.append(mann_whitney(near, fresh))
            weights.append(len(validation))
    if not scores:
        return float("nan"), float("nan"), 0
    share = np.array(weights) / sum(weights)
    return float(share @ scores), float(np.sqrt(np.square(share).sum())), len(scores)


def mann_whitney(x: np.ndarray, y: np.ndarray) -> float:
    """Return the score Z of U, the pairs in which x (m,) is larger than y (v,); ties count half.

    >>> round(mann_whitney(np.array([1.0, 2.0]), np.array([3.0, 4.0])), 3)
    -1.549
    """
    m, v = len(x), len(y)
    u = rankdata(np.concatenate([x, y]))[:m].sum() - m * (m + 1) / 2
    return float((u - m * v / 2) / math.sqrt(m * v * (m + v + 1) / 12))
