"""The nearest pairs of training and synthetic image, for a reader to judge with their own eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memtk.data.images import StoredImages
from memtk.report.identity import short_hash
from memtk.report.pictures import (
    Picture,
    Window,
    plane_sizes,
    planes,
    show_difference,
    show_image,
    window_of,
)

TOP, NEAR = 8, 4
"""Pairs shown: the most alike, and those that the reference rule just did not flag."""


@dataclass(frozen=True)
class Pair:
    """A training image and the synthetic image nearest to it.

    Args:
        rank: 1 for the pair most alike of all training images.
        similarity: of the two.
        stranger: similarity of the training image to its nearest validation image.
        memorized: whether the reference rule flags the training image.
        exposed: whether the conformal test does; None where it was not tested.
        copy: whether the conformal test flags the synthetic image.
        names: short keyed hashes of the training and the synthetic image.
        training: the planes shown, and so `synthetic` and `difference`.
    """

    rank: int
    similarity: float
    stranger: float
    memorized: bool
    exposed: bool | None
    copy: bool
    names: tuple[str, str]
    training: tuple[Picture, ...]
    synthetic: tuple[Picture, ...]
    difference: tuple[Picture, ...]


@dataclass(frozen=True)
class Pairs:
    """The pairs of a synthetic set.

    Args:
        top: the most alike.
        near: not flagged, the most alike of those that are not in `top`.
        dims: 2 or 3.
        channels: C.
        pixelated: whether pictures are enlarged so far that their pixels should be seen.
        reduced: whether pictures have fewer pixels than the images.
    """

    top: tuple[Pair, ...]
    near: tuple[Pair, ...]
    dims: int
    channels: int
    pixelated: bool
    reduced: bool


def choose(similarity: np.ndarray, memorized: np.ndarray) -> tuple[list[int], list[int]]:
    """Return which training images to show: the most alike, and the next that are not flagged.

    Args:
        similarity: of each training image to its nearest synthetic image, (N,).
        memorized: what the reference rule flags, bool (N,).

    >>> choose(np.array([0.1, 0.9, 0.5]), np.array([False, True, False]))
    ([1, 2, 0], [])
    """
    order = np.argsort(-similarity, kind="stable").tolist()
    return order[:TOP], [i for i in order[TOP:] if not memorized[i]][:NEAR]


def find_pairs(
    arrays: Mapping[str, np.ndarray],
    training: StoredImages,
    synthetic: StoredImages,
    key: bytes,
    label: str,
) -> Pairs:
    """Return the pairs of a synthetic set.

    Args:
        arrays: what it was judged from, named as in `memtk.memorization.Judgement`.
        training: the N training images that were judged.
        synthetic: the M synthetic ones.
        key: of the run, for the short names.
        label: of the synthetic set in these names.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    top, near = choose(arrays["train_synthetic"], arrays["memorized"])
    rows = [*top, *near]
    partners = arrays["train_synthetic_index"][rows].tolist()
    ours = training.read(rows).numpy()  # (K, C, *S)
    theirs = synthetic.read(partners).numpy()  # (K, C, *S)
    window = window_of(np.stack([ours, theirs]))
    views = _Views(window, training.spec.spacing, training.spec.dims)
    pairs = [
        views.pair(
            rank, (row, partner), arrays, (one, other),
            (
                short_hash(key, "training", int(training.indices[row])),
                short_hash(key, label, int(synthetic.indices[partner])),
            ),
        )
        for rank, row, partner, one, other in zip(
            _ranks(arrays, rows), rows, partners, ours, theirs, strict=True
        )
    ]  # fmt: skip
    return Pairs(
        top=tuple(pairs[: len(top)]),
        near=tuple(pairs[len(top) :]),
        dims=training.spec.dims,
        channels=training.spec.channels,
        pixelated=max(training.spec.shape) < 128,
        reduced=any(p.reduced for pair in pairs for p in pair.training),
    )


def _ranks(arrays: Mapping[str, np.ndarray], rows: Sequence[int]) -> list[int]:
    order = np.argsort(-arrays["train_synthetic"], kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    return rank[rows].tolist()


@dataclass(frozen=True)
class _Views:
    """How the images of one set are shown."""

    window: Window
    spacing: tuple[float, ...]
    dims: int

    def pair(
        self,
        rank: int,
        rows: tuple[int, int],
        arrays: Mapping[str, np.ndarray],
        images: tuple[np.ndarray, np.ndarray],
        names: tuple[str, str],
    ) -> Pair:
        size = 102 if self.dims == 3 else 150  # CSS pixels
        pixels = plane_sizes(self.spacing, self.dims)
        one, other = (planes(image) for image in images)
        exposed = arrays.get("exposure_flagged")
        row, partner = rows
        return Pair(
            rank=rank,
            similarity=float(arrays["train_synthetic"][row]),
            stranger=float(arrays["train_validation"][row]),
            memorized=bool(arrays["memorized"][row]),
            exposed=None if exposed is None else bool(exposed[row]),
            copy=bool(arrays["copies_flagged"][partner]),
            names=names,
            training=tuple(
                show_image(p, self.window, mm, size) for p, mm in zip(one, pixels, strict=True)
            ),
            synthetic=tuple(
                show_image(p, self.window, mm, size) for p, mm in zip(other, pixels, strict=True)
            ),
            difference=tuple(
                show_difference(a, b, self.window, mm, size)
                for a, b, mm in zip(one, other, pixels, strict=True)
            ),
        )
