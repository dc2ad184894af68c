"""What a mitigation that chooses by what was found must keep to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from memtk.data.images import MemoryImages
from memtk.interfaces import Choice, Images, Standing
from memtk.memorization import Embeddings, judge
from memtk.testing.case import Case
from memtk.testing.samples import smooth_images
from memtk.testing.verdict import expect

COUNTS = (8, 20, 10)
"""Training, validation and synthetic images of the checks; four of the last are copies."""


class Nearness:
    """Minus the Euclidean distance: the similarity of the checks."""

    space: Literal["embedding", "image"] = "image"

    def prepare(self, rows: Tensor) -> Tensor:
        """Return rows (N, F) as they are."""
        return rows

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (Q, R)."""
        return -torch.cdist(queries, references, compute_mode="donot_use_mm_for_euclid_dist")


class Glance:
    """The copy detector of the checks: the images themselves, flattened."""

    similarity = Nearness()

    def look(self, images: Images) -> Tensor:
        """Return the images, (N, C*S)."""
        return images.read(range(len(images))).flatten(1)


def check_thin_keeps_some_training_images(case: Case) -> None:
    """`thin` keeps one image at least, and says why in a sentence."""
    training, validation, _ = _sets(case)

    def thin() -> Any:
        return case.make().thin(training, validation, Glance())

    _check_choice(case, "thin", thin, len(training), least=1)


def check_teach_keeps_synthetic_images(case: Case) -> None:
    """`teach` keeps some of the first generator's images, and says why in a sentence."""
    synthetic, found = _found(case)
    _check_choice(case, "teach", lambda: case.make().teach(synthetic, found), len(synthetic))


def check_stop_takes_one_checkpoint(case: Case) -> None:
    """`stop` takes one of the checkpoints it is shown."""
    course = [
        Standing(
            step,
            dict.fromkeys(("copies", "dar", "dar-matched", "copy-rate", "exposed"), share),
            {"fid[check]": distance},
            {"fid[check]": distance},
        )
        for step, share, distance in ((100, 0.0, 3.0), (200, 0.2, 2.0), (300, 0.9, 1.5))
    ]
    _check_choice(case, "stop", lambda: case.make().stop(course), len(course), least=1, most=1)


def check_screen_keeps_synthetic_images(case: Case) -> None:
    """`screen` tells the images that may go out, and says why in a sentence."""
    synthetic, found = _found(case)
    _check_choice(case, "screen", lambda: case.make().screen(synthetic, found), len(synthetic))


def check_indices(what: str, indices: Any, count: int) -> None:
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
    check_indices(what, choice.indices, count)
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


def _sets(case: Case) -> tuple[MemoryImages, MemoryImages, MemoryImages]:
    training, validation, fresh = smooth_images(case.shape, sum(COUNTS), 7).split(COUNTS)
    synthetic = torch.cat([training[:4], fresh[4:]])
    names = [f"patient {index}" for index in range(sum(COUNTS[:2]))]
    return (
        MemoryImages(training, names[: COUNTS[0]]),
        MemoryImages(validation, names[COUNTS[0] :]),
        MemoryImages(synthetic),
    )


def _found(case: Case) -> tuple[MemoryImages, dict[str, np.ndarray]]:
    """Return synthetic images and what is found in them, as the core hands it over."""
    training, validation, synthetic = _sets(case)
    eyes = Embeddings(*(Glance().look(images) for images in (training, validation, synthetic)))
    judgement = judge(
        eyes, eyes, similarity=Nearness(), training_patients=training.patients, fdr=0.5
    )
    identical = np.arange(len(synthetic)) < 4
    return synthetic, {**judgement.arrays, "synthetic_identical": identical}


CHOICES = (
    check_thin_keeps_some_training_images,
    check_teach_keeps_synthetic_images,
    check_stop_takes_one_checkpoint,
    check_screen_keeps_synthetic_images,
)
