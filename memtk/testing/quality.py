"""What every quality metric must keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from memtk.data.images import MemoryImages
from memtk.interfaces import ImageSpec, QualityMetric
from memtk.testing.construction import make_config
from memtk.testing.samples import SPEC, smooth_images
from memtk.testing.verdict import expect

COUNT = 12
"""Images in each of the two sets."""


def check_quality_metric(
    cls: type, config: Mapping[str, Any] | None = None, spec: ImageSpec = SPEC
) -> None:
    """Compare two small sets of images.

    Args:
        cls: made as `cls(config)` where it has a `Config`, else as `cls()`.
        config: settings by name.
        spec: shape of the images, small.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    name = cls.__name__
    metric: QualityMetric = cls(make_config(cls, config)) if hasattr(cls, "Config") else cls()
    real, fake = (MemoryImages(smooth_images(spec, COUNT, seed)) for seed in (0, 1))
    values = metric(real, fake)
    expect(
        isinstance(values, Mapping) and len(values) > 0, f"{name} gives no measures by their names"
    )
    for key, value in values.items():
        expect(
            isinstance(key, str) and math.isfinite(float(value)),
            f"{name} gives {key!r} = {value!r}; expected a name and a finite number",
        )
    expect(dict(metric(real, fake)) == dict(values), f"{name} gives other values the second time")
