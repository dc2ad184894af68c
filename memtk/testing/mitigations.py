"""What every mitigation must keep to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.interfaces import ImageSpec, Mitigation
from memtk.noise import Noise
from memtk.testing.construction import make_config
from memtk.testing.randomness import check_no_global_randomness
from memtk.testing.rows import TOLERANCE, check_images, check_rows_stand_alone
from memtk.testing.samples import SPEC, smooth_images
from memtk.testing.verdict import expect

PATIENTS = ("d", "a", "a", "b", "c", "b", "e", "f", "f", "f")
"""The patient of each training image of the checks."""


def check_mitigation(
    cls: type[Mitigation],
    config: Mapping[str, Any] | None = None,
    spec: ImageSpec = SPEC,
    images: Tensor | None = None,
    *,
    whole_patients: bool = False,
    tolerance: float = TOLERANCE,
) -> None:
    """Check each of a mitigation's four methods.

    Args:
        config: settings by name.
        spec: shape of the images, small.
        images: (N, C, *S) in [-1, 1], four or more; smooth noise by default.
        whole_patients: check as well that `choose` keeps all images of a patient or none.
        tolerance: how far an augmented image may move with the batch, relative to 1.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    expect(
        isinstance(cls, type) and issubclass(cls, Mitigation),
        f"{cls!r} is not a subclass of memtk.interfaces.Mitigation",
    )
    mitigation = cls(make_config(cls, config))
    images = smooth_images(spec, 4) if images is None else images
    check_choose(mitigation, whole_patients)
    check_augment(mitigation, images, tolerance)
    check_adjust(mitigation)
    check_indices(f"{cls.__name__}.release", mitigation.release(MemoryImages(images)), len(images))


def check_choose(mitigation: Mitigation, whole_patients: bool = False) -> None:
    """Check which training images are kept.

    Raises:
        AssertionError: if the indices are unsound, none, or not a function of patients and rng.
    """
    what = f"{type(mitigation).__name__}.choose"
    kept = mitigation.choose(PATIENTS, np.random.default_rng(0))
    check_indices(what, kept, len(PATIENTS))
    expect(len(kept) > 0, f"{what} keeps no image")
    again = mitigation.choose(PATIENTS, np.random.default_rng(0))
    expect(
        np.array_equal(kept, again),
        f"{what} gives other indices for the same rng; it must draw from its rng alone",
    )
    if not whole_patients:
        return
    chosen = {PATIENTS[index] for index in kept}
    split = sorted(chosen & {p for i, p in enumerate(PATIENTS) if i not in set(kept.tolist())})
    expect(not split, f"{what} keeps some images of patient {split[:1]} and not the others")


def check_augment(mitigation: Mitigation, images: Tensor, tolerance: float = TOLERANCE) -> None:
    """Check that image i is changed by stream i, and stays an image.

    Raises:
        AssertionError: if the images are unsound, changed in place, or depend on the batch.
    """
    what, before = f"{type(mitigation).__name__}.augment", images.clone()

    def augment(indices: list[int]) -> Tensor:
        return mitigation.augment(images[indices], Noise(0, indices))

    everyone = list(range(len(images)))
    x = check_no_global_randomness(what, lambda: augment(everyone))
    check_images(what, x, tuple(images.shape))
    check_rows_stand_alone(what, augment, len(images), tolerance)
    mitigation.augment(images, Noise(0, everyone))
    expect(bool((images == before).all()), f"{what} changes the images it is given in place")


def check_adjust(mitigation: Mitigation) -> None:
    """Check that settings come back as a mapping and that the given ones stay as they are.

    Raises:
        AssertionError: if not.
    """
    what = f"{type(mitigation).__name__}.adjust"
    settings = {"rate": 1.0, "training": {"steps": 10, "batch_size": 2}}
    adjusted = mitigation.adjust(settings)
    expect(
        isinstance(adjusted, Mapping), f"{what} gives a {type(adjusted).__name__}, not a mapping"
    )
    same = settings == {"rate": 1.0, "training": {"steps": 10, "batch_size": 2}}
    expect(same, f"{what} changes the settings it is given; it must return changed ones")


def check_indices(what: str, indices: np.ndarray, count: int) -> None:
    """Check ascending indices below `count`.

    Raises:
        AssertionError: if one is repeated, out of range, or no integer.
    """
    expect(
        isinstance(indices, np.ndarray) and indices.ndim == 1,
        f"{what} gives a {type(indices).__name__}, not an array of indices",
    )
    expect(
        np.issubdtype(indices.dtype, np.integer),
        f"{what} gives an array of {indices.dtype}, not of integers (indices, not a mask)",
    )
    expect(bool((np.diff(indices) > 0).all()), f"{what} gives indices that are not ascending")
    expect(
        bool(((indices >= 0) & (indices < count)).all()),
        f"{what} gives indices outside 0 to {count - 1}",
    )
