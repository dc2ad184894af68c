"""Measures of quality that see copies: AuthPct, C_T and the nearest-neighbour distance ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.cluster.vq import kmeans2, vq
from scipy.stats import rankdata

from memtk.errors import many
from memtk.interfaces import ComponentConfig, Features, QualityMeasure
from memtk.noise import derive
from memtk_measures.against import nearest


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
                f"Of {many(sizes[0], 'synthetic image')} and {many(sizes[1], 'validation image')}: "
                f"{1.96 * spread:.0f} points between them may be chance."
            )
        return {"authpct": QualityMeasure(value, real, "real", "training images", note)}


def authentic_percentage(training: np.ndarray, rows: np.ndarray) -> float:
    """Return the percentage of `rows` (M, D) that are authentic; NaN with one training image."""
    if len(training) < 2:
        return float("nan")
    apart = nearest(training, training, own=True)[0][:, 0]  # (N,)
    distance, index = nearest(rows, training)
    return float(100 * (apart[index[:, 0]] < distance[:, 0]).mean())


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
