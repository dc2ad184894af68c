"""Distances and neighbourhoods of features: fid, kid, precision, recall, density and coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from memtk.errors import many
from memtk.interfaces import Features, QualityMeasure
from memtk_measures.against import AgainstConfig, keyed, nearest, pair, sizes, tiles


class Fid:
    """Fréchet distance of two sets of features, as if each were normal; lower = better, >= 0.

    `|m - n|^2 + tr(A) + tr(B) - 2 tr((A B)^(1/2))` with means m, n and covariances A, B (divided by
    the number of images less 1). Heusel et al., arXiv 1706.08500, who took Inception's features;
    here they are the extractor's, whose name stands in the measure's: distances by two extractors
    have nothing to do with each other.

    Reference set: the validation images (`against=training` for the training images, whom a
    generator comes nearest by copying them; the measure is then called `fid.training`). The line
    is the distance of as many training images from the validation images, as in arXiv 2402.01054,
    figure 8.

    Pitfalls:
        It falls with the number of images, with a bias that differs between models (Chong and
        Forsyth, arXiv 1911.07023): compare at equal sizes alone. With no more images than features
        the covariances have no full rank, and the distance is mostly bias; kernel distances (`kid`)
        are not.
        An extractor that was trained on the training images sets these apart: the line is then too
        high, the value is not.

    The trace of the root is the sum of the singular values of the product of the two centred sets,
    so that no root of a singular matrix is taken: that of MONAI and pytorch-fid goes through
    `scipy.linalg.sqrtm`, which loses digits or turns complex below full rank. At full rank they
    agree.
    """

    Config = AgainstConfig
    space: Literal["features"] = "features"

    def __init__(self, config: AgainstConfig) -> None:
        self.config = config

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"fid": ...}, or {"training": ...}."""
        against = self.config.against
        reference, stand_in = pair(features, against, "fid")
        count, width = min(len(reference), len(features.synthetic)), reference.shape[1]
        notes = [sizes(features, stand_in)]
        if count <= width:
            notes.insert(
                0,
                f"{many(count, 'image')} for {many(width, 'feature')}: the covariances "
                "have no full rank, and the distance is mostly bias. Read it beside its line "
                "only, at these very sizes.",
            )
        measure = QualityMeasure(
            frechet(features.synthetic, reference),
            frechet(stand_in, reference),
            "lower",
            f"{against} images",
            " ".join(note for note in notes if note),
        )
        return {keyed("fid", against): measure}


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Return the Fréchet distance of features (n, D) and (m, D); NaN if a set has one row.

    >>> round(frechet(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])), 9)  # means 1 apart
    1.0
    """
    if min(len(x), len(y)) < 2:
        return float("nan")
    (mean_x, root_x), (mean_y, root_y) = _moments(x), _moments(y)
    spread = np.square(root_x).sum() + np.square(root_y).sum()
    shared = np.linalg.norm(root_x @ root_y.T, "nuc")  # tr((A B)^(1/2))
    return max(0.0, float(np.square(mean_x - mean_y).sum() + spread - 2 * shared))


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (D,) and a matrix R (min(n, D), D) with the covariance R^T R."""
    x = np.asarray(x, np.float64)
    mean = x.mean(0)
    centred = (x - mean) / np.sqrt(len(x) - 1)
    root: np.ndarray = centred
    if len(x) > x.shape[1]:
        root = np.asarray(np.linalg.qr(centred, mode="r"))
    return mean, root


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
            notes.append(f"So few images have {many(k, 'neighbour')} at most: k = {k}.")
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
