"""What every quality metric must keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from memtk.data.images import MemoryImages
from memtk.interfaces import Features, QualityMeasure
from memtk.testing.assertions import check_no_global_randomness, expect
from memtk.testing.case import Case, smooth_images

COUNT = 12
"""Images in each set."""

WIDTH = 5
"""Numbers in a row of features."""

BETTER = ("higher", "lower", "real")


def check_the_metric_says_what_it_compares(case: Case) -> None:
    """`space` is "image", also where it is missing, or "features"."""
    space = getattr(case.cls, "space", "image")
    expect(
        space in ("image", "features"),
        f"{case.cls.__name__}.space is {space!r}, not 'image' or 'features'",
    )


def check_measures_have_names_and_are_finite(case: Case) -> None:
    """Two small sets of different images, or three of features, give finite numbers by name."""
    name, values = case.cls.__name__, case.make()(*_sets(case))
    expect(
        isinstance(values, Mapping) and len(values) > 0, f"{name} gives no measures by their names"
    )
    for key, value in values.items():
        expect(
            isinstance(key, str) and math.isfinite(_number(value)),
            f"{name} gives {key!r} = {value!r}; expected a name and a finite number",
        )


def check_measures_say_which_way_is_better(case: Case) -> None:
    """What is not a plain number says which values are good; near to a line needs that line."""
    name = case.cls.__name__
    for key, value in case.make()(*_sets(case)).items():
        if not isinstance(value, QualityMeasure):
            continue
        expect(
            value.better in BETTER,
            f"{name} says of {key!r} that {value.better!r} is better; expected one of "
            f"{', '.join(BETTER)}",
        )
        expect(
            value.real is None or math.isfinite(value.real),
            f"{name} gives {key!r} the line {value.real!r}; expected a finite number or None",
        )
        expect(
            value.better != "real" or value.real is not None,
            f"{name} says of {key!r} that values near the line are good, and gives no line",
        )


def check_measuring_twice_gives_the_same(case: Case) -> None:
    """A metric that draws does so by a seed of its own."""
    metric, sets = case.make(), _sets(case)
    first = dict(metric(*sets))
    expect(dict(metric(*sets)) == first, f"{case.cls.__name__} gives other values the second time")


def check_measuring_uses_no_global_random_state(case: Case) -> None:
    """The global generators are neither used nor moved."""
    metric, sets = case.make(), _sets(case)
    check_no_global_randomness(
        case.cls.__name__,
        lambda: torch.tensor([_number(value) for value in metric(*sets).values()]),
    )


def check_measuring_changes_no_image(case: Case) -> None:
    """What a metric is given is not its own."""
    sets, fresh = _sets(case), _sets(case)
    case.make()(*sets)
    expect(
        all(np.array_equal(a, b) for a, b in zip(_arrays(sets), _arrays(fresh), strict=True)),
        f"{case.cls.__name__} changes what it is given",
    )


def _sets(case: Case) -> tuple[Any, ...]:
    """Return what the metric is called with: two sets of images, or one record of features."""
    if getattr(case.cls, "space", "image") == "features":
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(3, COUNT, WIDTH)).astype(np.float32)
        return (Features(*rows),)
    return tuple(MemoryImages(smooth_images(case.shape, COUNT, seed)) for seed in (0, 1))


def _arrays(sets: tuple[Any, ...]) -> list[np.ndarray]:
    if isinstance(sets[0], Features):
        return [sets[0].training, sets[0].validation, sets[0].synthetic]
    return [images.x.numpy() for images in sets]


def _number(value: Any) -> float:
    return float(value.value if isinstance(value, QualityMeasure) else value)
