"""What a first audit took away: strangers and planted copies go through the same filter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from memtk.components import ConfiguredComponent
from memtk.data.images import StoredImages
from memtk.errors import UserError
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector, nearest_both_ways, sources_of, weights_in
from memtk.evaluation.planted import MIXED, PlantedSimilarity, seen_by
from memtk.interfaces import Images
from memtk.memorization.exposure import Drop, below
from memtk.results import read_arrays


@dataclass(frozen=True)
class Screen:
    """The filter that the synthetic images of a second audit have passed.

    What is left of them after a first detector has taken away the nearest is less near than
    strangers are, and what it overlooked is not what planted copies are like. So the validation
    images and the planted copies that it would have taken away are left out too: the second audit
    then says how well copies are found *that the first one overlooks*.

    Args:
        folder: of the first audit.
        drop: what it took away; see `memtk.memorization.withhold`.
        alpha: for "alpha".
        embedder: its detector; None where it compared the images themselves.
        same: whether the second detector is of the same design: it shares the first one's blind
            spots, and cannot pass what that one overlooked.
    """

    folder: Path
    drop: Drop
    alpha: float
    similarity: ConfiguredComponent
    embedder: ConfiguredComponent | None
    same: bool

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return read_arrays(self.folder / "arrays.h5", "audit")

    @cached_property
    def threshold(self) -> float:
        """The similarity to the nearest training image from which on it took images away."""
        arrays = self._arrays
        gone = arrays["copies_flagged"].astype(bool)
        if self.drop == "alpha":
            gone = gone | below(arrays, "copies", self.alpha)
        near = arrays["synthetic_train"][gone]  # not what the exposure alone took away
        return float(near.min()) if len(near) else np.inf

    def validation(self, images: StoredImages) -> StoredImages:
        """Return the validation images that it would have left.

        Raises:
            UserError: if hardly any is left.
        """
        left = np.flatnonzero(self._arrays["validation_train"] < self.threshold)
        if len(left) < 2:
            raise UserError(
                f"the first audit would have taken away {len(images) - len(left)} of {len(images)} "
                "validation images too: too few are left to compare with. Take away fewer (--drop "
                "flagged), or bring more validation patients."
            )
        return images.subset(left.tolist())

    def planted(
        self, context: Context, training: StoredImages, found: PlantedSimilarity
    ) -> PlantedSimilarity:
        """Return those of all planted copies that it would have left, by the mixed ones."""
        detector = None
        if self.embedder is not None:
            place, weights = context.folder / "first", weights_in(str(self.folder))
            if context.devices.is_main:
                place.mkdir(exist_ok=True)
            context.devices.wait()
            name = "the embedder of the first audit"
            detector = Detector(context, self.embedder, training, place, name, weights)
        images: dict[str, Images] = {"training": training} | seen_by(detector, found.sets[-1:])
        seen = sources_of(detector, images, "first audit")
        names = ("planted copies", "training images")
        near = nearest_both_ways(
            context.devices, seen[MIXED], seen["training"], self.similarity.make(), names=names
        ).queries
        return found.left(np.flatnonzero(near.similarity < self.threshold))
