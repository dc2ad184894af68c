"""What every embedder must keep to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from memtk.interfaces import Embedder, ImageSpec
from memtk.testing.construction import check_same_images, make_trainable
from memtk.testing.randomness import check_no_global_randomness
from memtk.testing.rows import TOLERANCE, check_rows, check_rows_stand_alone
from memtk.testing.samples import SPEC, smooth_images
from memtk.testing.trainables import check_phases, learn, reload
from memtk.testing.verdict import expect


def check_embedder(
    cls: type[Embedder],
    config: Mapping[str, Any] | None = None,
    spec: ImageSpec = SPEC,
    images: Tensor | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Train an embedder for two steps a phase, embed with it, and check what memtk relies on.

    Args:
        config: settings by name, on top of the preset `smoke`.
        spec: shape of the images, small; for an embedder of 2D images `ImageSpec((32, 32))`.
        images: its training set, (N, C, *S) in [-1, 1], four or more; smooth noise by default.
        tolerance: how far an embedding may move with its batch, relative to the largest value.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    expect(
        isinstance(cls, type) and issubclass(cls, Embedder),
        f"{cls!r} is not a subclass of memtk.interfaces.Embedder",
    )
    images = smooth_images(spec, 4) if images is None else images
    check_same_images(spec, tuple(images.shape[1:]))
    model = make_trainable(cls, config, spec)
    check_phases(model)
    learn(model, images)
    check_embeddings(model, images, tolerance)
    check_checkpoint(model, make_trainable(cls, config, spec), images)


def check_embeddings(model: Embedder, images: Tensor, tolerance: float = TOLERANCE) -> None:
    """Check the vectors that `embed` gives, and that row i depends on image i alone.

    Raises:
        AssertionError: if they are unsound, all alike, or depend on the batch.
    """
    cls = type(model).__name__
    what = f"{cls}.embed"
    width: Any = getattr(model, "width", None)
    expect(
        isinstance(width, int) and width > 0,
        f"{cls}.width is {width!r}; it must be the number of values of an embedding",
    )
    rows = check_no_global_randomness(what, lambda: _embed(model, images))
    check_rows(what, rows, (len(images), width))
    expect(
        not bool((rows == rows[:1]).all()),
        f"{what} gives one vector for {len(images)} different images",
    )
    check_rows_stand_alone(
        what, lambda indices: _embed(model, images[indices]), len(images), tolerance
    )


def check_checkpoint(model: Embedder, fresh: Embedder, images: Tensor) -> None:
    """Check that a fresh instance with the model's `state_dict` gives the same vectors.

    Raises:
        AssertionError: if it does not, bit for bit.
    """
    want = _embed(model, images)
    expect(
        torch.equal(_embed(reload(model, fresh), images), want),
        f"{type(model).__name__} gives other embeddings after its checkpoint was loaded into a "
        "fresh instance: what embedding needs must be a parameter or a buffer",
    )


@torch.no_grad()
def _embed(model: Embedder, x: Tensor) -> Tensor:
    return model.eval().embed(x)
