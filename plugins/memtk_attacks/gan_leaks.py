"""GAN-Leaks: how near the nearest synthetic image is."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from memtk.data.images import FlatImages
from memtk.errors import UserError, many
from memtk.interfaces import ComponentConfig, Images, Target
from memtk.memorization import search


class Distance:
    """Minus the Euclidean distance of two flattened images per root of their size, at most 0.

    That is the root of the mean squared difference of two voxels, in the unit of the images (whose
    range is 2).

    >>> distance = Distance()
    >>> zeros, ones = (distance.prepare(torch.full((1, 4), x)) for x in (0.0, 1.0))
    >>> distance.compare(zeros, ones).tolist()
    [[-1.0]]
    """

    space: Literal["embedding", "image"] = "image"

    def prepare(self, rows: Tensor) -> Tensor:
        """Return the rows (N, F) divided by sqrt(F)."""
        return rows / rows.shape[1] ** 0.5

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return minus the distances (Q, R), with the origin moved to the references' middle."""
        middle = references.mean(0)  # (F,)
        q, r = queries - middle, references - middle
        squared = q.square().sum(1)[:, None] + r.square().sum(1) - 2 * q @ r.T
        return -squared.clamp_min(0).sqrt()

    def pairs(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return minus the distance (K,) of each query (K, F) to the reference in its row."""
        return -(queries - references).square().sum(1).sqrt()

    def rounding(self, queries: Tensor, references: Tensor) -> float:
        """Return how far `compare` may be from `pairs`: the root of what the squares lose."""
        middle = references.mean(0)
        reach = max(float((part - middle).norm(dim=1).max()) for part in (queries, references))
        lost = queries.shape[1] ** 0.5 * torch.finfo(queries.dtype).eps
        return 4 * max(reach, 1e-30) * lost**0.5


class GanLeaksConfig(ComponentConfig):
    """In which space the nearest synthetic image is looked for."""

    space: Literal["auto", "embedding", "image"] = Field(
        "auto",
        description="embedding: of the copy detector trained on the synthetic images alone; image: "
        "the voxels themselves; auto: embedding where the run has an embedder",
    )
    calibrate: bool = Field(
        False,
        description="subtract the likeness to the nearest image of held-out patients, so that "
        "images which are near to anything count less",
    )


NO_STRANGERS = (
    "gan-leaks.calibrate needs held-out patients, and the data hold none back: mark some 'test' in "
    "the manifest, have all split anew with --set data.resplit=true --set data.held_out=0.2, or "
    "leave it out"
)
NO_EMBEDDER = (
    "gan-leaks.space = embedding, but this run compares images without an embedder: say "
    "--set gan-leaks.space=image"
)


class GanLeaks:
    """Score: likeness to the nearest synthetic image (full black box: samples alone).

    In the embedding by the run's own similarity, where it is the number that the exposure side of
    the report tests image by image; in image space minus the root mean squared difference. The
    embedder must have seen neither members nor non-members: one trained on the training images
    would tell them apart by itself.

    Reference: Chen et al., CCS 2020, arXiv 1909.03935. The paper calibrates by the samples of a
    reference generator; here held-out real images stand for them.
    """

    Config = GanLeaksConfig
    uses = ()

    def __init__(self, config: GanLeaksConfig) -> None:
        self.config = config

    def check(self, embedder: bool, held_out: bool) -> None:
        """Refuse settings that ask for what will not be there."""
        if self.config.calibrate and not held_out:
            raise UserError(NO_STRANGERS)
        if self.config.space == "embedding" and not embedder:
            raise UserError(NO_EMBEDDER)

    def describe(self, target: Target) -> str:
        """Return what is compared."""
        where = (
            "the embedding of the exposure side"
            if self._embeds(target)
            else "image space (root mean squared difference)"
        )
        less = ", less that to the nearest held-out image" if self.config.calibrate else ""
        return (
            f"likeness to the nearest of {many(len(target.synthetic), 'synthetic image')}, in "
            f"{where}{less}"
        )

    def score(self, target: Target, images: Images) -> np.ndarray:
        """Return the likeness of each image to its nearest synthetic image, (N,).

        Raises:
            UserError: if what the settings ask for is not there.
        """
        found = self._nearest(target, images, target.synthetic)
        if not self.config.calibrate:
            return found
        if target.strangers is None or not len(target.strangers):
            raise UserError(NO_STRANGERS)
        return found - self._nearest(target, images, target.strangers)

    def _nearest(self, target: Target, images: Images, references: Images) -> np.ndarray:
        names = ("attacked images", "synthetic images")
        if not self._embeds(target):
            nearest = search(FlatImages(images), FlatImages(references), Distance(), names=names)
        elif target.embed is None or target.similarity is None:
            raise UserError(NO_EMBEDDER)
        else:
            rows = target.embed(images), target.embed(references)
            nearest = search(*rows, target.similarity, names=names)
        return np.asarray(nearest.queries.similarity, dtype=np.float64)

    def _embeds(self, target: Target) -> bool:
        if self.config.space == "auto":
            return target.embed is not None
        return self.config.space == "embedding"
