"""What every mitigation must keep to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.evaluation import EmbeddedSets, Levels, Patients, calibrate, evaluate
from memtk.interfaces import CheckpointScores, Choice, Images, ImageSpec
from memtk.noise import Noise
from memtk.testing.assertions import (
    DoesNotApply,
    applies,
    check_images,
    check_no_global_randomness,
    check_rows_stand_alone,
    expect,
)
from memtk.testing.case import Case, smooth_images
from memtk.testing.similarities import NegativeDistance

PATIENTS = ("d", "a", "a", "b", "c", "b", "e", "f", "f", "f")
"""The patient of each training image of the checks."""

COUNTS = (8, 20, 10)
"""Training, validation and synthetic images of the checks; four of the last are copies."""


class PixelDetector:
    """The copy detector of the checks: the images themselves, flattened."""

    similarity = NegativeDistance()

    def embed(self, images: Images) -> Tensor:
        """Return the images, (N, C*S)."""
        return images.read(range(len(images))).flatten(1)


def check_adjust_returns_changed_settings(case: Case) -> None:
    """Settings come back as a mapping, and those given stay as they are."""
    what, settings = f"{case.cls.__name__}.adjust", _settings()
    try:
        adjusted = case.make().adjust(settings)
    except UserError as error:
        raise DoesNotApply("it has nothing to change in the settings of the check") from error
    expect(
        isinstance(adjusted, Mapping), f"{what} gives a {type(adjusted).__name__}, not a mapping"
    )
    expect(
        settings == _settings(),
        f"{what} changes the settings it is given; it must return changed ones",
    )


def check_choose_gives_ascending_indices(case: Case) -> None:
    """The training images to keep are told by ascending indices, one at least."""
    what = f"{case.cls.__name__}.choose"
    kept = case.make().choose(PATIENTS, np.random.default_rng(0))
    expect_indices(what, kept, len(PATIENTS))
    expect(len(kept) > 0, f"{what} keeps no image")


def check_choose_draws_from_its_rng_alone(case: Case) -> None:
    """One seed, one choice."""
    first, again = (case.make().choose(PATIENTS, np.random.default_rng(0)) for _ in range(2))
    expect(
        np.array_equal(first, again),
        f"{case.cls.__name__}.choose gives other indices for the same rng; it must draw from its "
        "rng alone",
    )


def check_choose_keeps_whole_patients(case: Case) -> None:
    """All images of a patient are kept or none, where the case says so."""
    applies(case.whole_patients, "it does not say that it keeps whole patients")
    kept = case.make().choose(PATIENTS, np.random.default_rng(0)).tolist()
    chosen = {PATIENTS[index] for index in kept}
    split = sorted(chosen & {p for i, p in enumerate(PATIENTS) if i not in kept})
    expect(
        not split,
        f"{case.cls.__name__}.choose keeps some images of patient {split[:1]} and not the others",
    )


def check_augmented_images_are_images(case: Case) -> None:
    """What comes out of `augment` is float32, of the same shape, finite and in [-1, 1]."""
    x = case.make().augment(case.x.clone(), Noise(0, range(len(case.x))))
    check_images(f"{case.cls.__name__}.augment", x, tuple(case.x.shape))


def check_augmenting_uses_no_global_random_state(case: Case) -> None:
    """Randomness comes from `noise` alone."""
    mitigation, everyone = case.make(), range(len(case.x))
    check_no_global_randomness(
        f"{case.cls.__name__}.augment",
        lambda: mitigation.augment(case.x.clone(), Noise(0, everyone)),
    )


def check_batch_size_does_not_change_augmentations(case: Case) -> None:
    """Image i is changed by stream i, whatever batch it is in."""
    mitigation = case.make()

    def augment(indices: list[int]) -> Tensor:
        changed: Tensor = mitigation.augment(case.x[indices], Noise(0, indices))
        return changed

    what = f"{case.cls.__name__}.augment"
    check_rows_stand_alone(what, augment, len(case.x), case.tolerance)


def check_augmenting_leaves_its_input_as_it_was(case: Case) -> None:
    """Images are not changed in place: the core may keep them."""
    given = case.x.clone()
    case.make().augment(given, Noise(0, range(len(given))))
    expect(
        bool((given == case.x).all()),
        f"{case.cls.__name__}.augment changes the images it is given in place",
    )


def check_release_gives_ascending_indices(case: Case) -> None:
    """The synthetic images that may go out are told by ascending indices."""
    kept = case.make().release(MemoryImages(case.x))
    expect_indices(f"{case.cls.__name__}.release", kept, len(case.x))


def check_thin_keeps_some_training_images(case: Case) -> None:
    """`thin` keeps one image at least, and says why in a sentence."""
    training, validation, _ = _sets(case.shape)

    def thin() -> Any:
        return case.make().thin(training, validation, PixelDetector())

    _check_choice(case, "thin", thin, len(training), least=1)


def check_teach_keeps_synthetic_images(case: Case) -> None:
    """`teach` keeps some of the first generator's images, and says why in a sentence."""
    synthetic, found = _found(case)
    _check_choice(case, "teach", lambda: case.make().teach(synthetic, found), len(synthetic))


def check_stop_takes_one_checkpoint(case: Case) -> None:
    """`stop` takes one of the checkpoints it is shown."""
    checkpoints = [
        CheckpointScores(
            step,
            dict.fromkeys(("copies", "dar", "dar-matched", "copy-rate", "exposed"), share),
            {"fid[check]": distance},
            {"fid[check]": distance},
        )
        for step, share, distance in ((100, 0.0, 3.0), (200, 0.2, 2.0), (300, 0.9, 1.5))
    ]
    count = len(checkpoints)
    _check_choice(case, "stop", lambda: case.make().stop(checkpoints), count, least=1, most=1)


def check_screen_keeps_synthetic_images(case: Case) -> None:
    """`screen` tells the images that may go out, and says why in a sentence."""
    synthetic, found = _found(case)
    _check_choice(case, "screen", lambda: case.make().screen(synthetic, found), len(synthetic))


def expect_indices(what: str, indices: Any, count: int) -> None:
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


def _check_choice(
    case: Case, name: str, call: Callable[[], Any], count: int, least: int = 0, most: int = 0
) -> None:
    what, choice = f"{case.cls.__name__}.{name}", call()
    expect(isinstance(choice, Choice), f"{what} gives a {type(choice).__name__}, not a Choice")
    expect_indices(what, choice.indices, count)
    kept = len(choice.indices)
    expect(least <= kept <= (most or count), f"{what} keeps {kept} of {count}")
    expect(
        isinstance(choice.why, str) and "\n" not in choice.why,
        f"{what} says why in {choice.why!r}, not in one line",
    )
    again = call()
    expect(
        np.array_equal(again.indices, choice.indices),
        f"{what} gives other indices when it is asked again",
    )


def _sets(shape: ImageSpec) -> tuple[MemoryImages, MemoryImages, MemoryImages]:
    training, validation, fresh = smooth_images(shape, sum(COUNTS), 7).split(COUNTS)
    synthetic = torch.cat([training[:4], fresh[4:]])
    names = [f"patient {index}" for index in range(sum(COUNTS[:2]))]
    return (
        MemoryImages(training, names[: COUNTS[0]]),
        MemoryImages(validation, names[COUNTS[0] :]),
        MemoryImages(synthetic),
    )


def _found(case: Case) -> tuple[MemoryImages, dict[str, np.ndarray]]:
    """Return synthetic images and what is found in them, as the core hands it over."""
    found = {name: rows.copy() for name, rows in _evaluated(case.shape).items()}
    return _sets(case.shape)[-1], found


@cache
def _evaluated(shape: ImageSpec) -> dict[str, np.ndarray]:
    training, validation, synthetic = _sets(shape)
    embed = PixelDetector().embed
    rows = EmbeddedSets(embed(training), embed(validation), embed(synthetic))
    calibration = calibrate(rows, NegativeDistance(), Patients(training.patients))
    found = evaluate(rows, rows, calibration, Levels(fdr=0.5))
    identical = np.arange(len(synthetic)) < 4
    return {**found.arrays, "synthetic_identical": identical}


def _settings() -> dict[str, Any]:
    return {"rate": 1.0, "channels": [16, 32], "training": {"steps": 10, "batch_size": 2}}
