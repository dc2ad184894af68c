"""Normalised cross-correlation of the images themselves."""

from __future__ import annotations

from typing import Literal

from memtk_measures.pearson import Pearson


class Ncc(Pearson):
    """Normalised cross-correlation of two images: Pearson's correlation over all voxels.

    In [-1, 1]; does not change with brightness and contrast. It sees copies in place, not those
    that were flipped, turned or shifted: an embedder is trained to see these.
    """

    space: Literal["embedding", "image"] = "image"
