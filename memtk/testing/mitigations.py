"""What every mitigation must keep to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.noise import Noise
from memtk.testing.case import Case
from memtk.testing.choices import CHOICES, check_indices
from memtk.testing.randomness import check_no_global_randomness
from memtk.testing.rows import check_images, check_rows_stand_alone
from memtk.testing.settings import SETTINGS
from memtk.testing.verdict import DoesNotApply, applies, expect

PATIENTS = ("d", "a", "a", "b", "c", "b", "e", "f", "f", "f")
"""The patient of each training image of the checks."""


def check_choose_gives_ascending_indices(case: Case) -> None:
    """The training images to keep are told by ascending indices, one at least."""
    what = f"{case.cls.__name__}.choose"
    kept = case.make().choose(PATIENTS, np.random.default_rng(0))
    check_indices(what, kept, len(PATIENTS))
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


def check_release_gives_ascending_indices(case: Case) -> None:
    """The synthetic images that may go out are told by ascending indices."""
    kept = case.make().release(MemoryImages(case.x))
    check_indices(f"{case.cls.__name__}.release", kept, len(case.x))


def _settings() -> dict[str, Any]:
    return {"rate": 1.0, "channels": [16, 32], "training": {"steps": 10, "batch_size": 2}}


MITIGATION = (
    *SETTINGS,
    check_adjust_returns_changed_settings,
    check_choose_gives_ascending_indices,
    check_choose_draws_from_its_rng_alone,
    check_choose_keeps_whole_patients,
    check_augmented_images_are_images,
    check_augmenting_uses_no_global_random_state,
    check_batch_size_does_not_change_augmentations,
    check_augmenting_leaves_its_input_as_it_was,
    check_release_gives_ascending_indices,
    *CHOICES,
)
