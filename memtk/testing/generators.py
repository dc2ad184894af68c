"""What every generator must keep to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from memtk.interfaces import Generator, ImageSpec
from memtk.noise import Noise
from memtk.testing.construction import check_same_images, make_trainable
from memtk.testing.randomness import check_no_global_randomness
from memtk.testing.rows import TOLERANCE, check_images, check_rows, check_rows_stand_alone
from memtk.testing.samples import SPEC, smooth_images
from memtk.testing.trainables import check_phases, learn, reload
from memtk.testing.verdict import expect

SAMPLES = 3
"""Images drawn in each check."""


def check_generator(
    cls: type[Generator],
    config: Mapping[str, Any] | None = None,
    spec: ImageSpec = SPEC,
    images: Tensor | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Train a generator for two steps a phase, sample it, and check all that memtk relies on.

    Args:
        config: settings by name, on top of the preset `smoke`.
        spec: shape of the images, small; for a generator of 2D images `ImageSpec((32, 32))`.
        images: its training set, (N, C, *S) in [-1, 1], four or more; smooth noise by default.
        tolerance: how far a sample may move with the batch it is drawn in, relative to 1.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    expect(
        isinstance(cls, type) and issubclass(cls, Generator),
        f"{cls!r} is not a subclass of memtk.interfaces.Generator",
    )
    expect(
        cls.learns_from in ("training", "held_out"),
        f"{cls.__name__}.learns_from is {cls.learns_from!r}, not 'training' or 'held_out'",
    )
    images = smooth_images(spec, 4) if images is None else images
    check_same_images(spec, tuple(images.shape[1:]))
    model = make_trainable(cls, config, spec)
    check_phases(model)
    learn(model, images)
    check_samples(model, tolerance)
    check_checkpoint(model, make_trainable(cls, config, spec))
    check_optional_methods(model, images)


def check_samples(model: Generator, tolerance: float = TOLERANCE) -> None:
    """Check the images that `sample` gives, and that image i depends on stream i alone.

    Raises:
        AssertionError: if they are unsound, depend on the batch, or on global randomness.
    """
    what = f"{type(model).__name__}.sample"
    x = check_no_global_randomness(what, lambda: draw(model, list(range(SAMPLES))))
    check_images(what, x, (SAMPLES, model.spec.channels, *model.spec.shape))
    check_rows_stand_alone(what, lambda indices: draw(model, indices), SAMPLES, tolerance)


def check_checkpoint(model: Generator, fresh: Generator) -> None:
    """Check that a fresh instance with the model's `state_dict` gives the same images.

    Raises:
        AssertionError: if it does not, bit for bit.
    """
    indices = list(range(SAMPLES))
    want = draw(model, indices)
    expect(
        torch.equal(draw(reload(model, fresh), indices), want),
        f"{type(model).__name__} gives other samples after its checkpoint was loaded into a fresh "
        "instance: what sampling needs must be a parameter or a buffer",
    )


def check_optional_methods(model: Generator, images: Tensor) -> None:
    """Check `reconstruct` and `denoising_loss` where there are any.

    Raises:
        AssertionError: if the shape of what they give is wrong.
    """
    cls = type(model).__name__
    reconstruct: Any = getattr(model, "reconstruct", None)
    denoising_loss: Any = getattr(model, "denoising_loss", None)
    with torch.no_grad():
        if reconstruct is not None:
            check_images(f"{cls}.reconstruct", reconstruct(images), tuple(images.shape))
        if denoising_loss is not None:
            t = torch.zeros(len(images), dtype=torch.int64)
            loss = denoising_loss(images, t, Noise(0, range(len(images))))
            check_rows(f"{cls}.denoising_loss", loss, (len(images),))


@torch.no_grad()
def draw(model: Generator, indices: list[int]) -> Tensor:
    """Sample the model as the core does: (B, C, *S)."""
    return model.eval().sample(Noise(0, indices))
