"""Measures the quality and diversity of one set of synthetic images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from memtk.components import ConfiguredComponent
from memtk.evaluation.context import Context
from memtk.evaluation.detector import Detector, EmbeddedSets
from memtk.interfaces import Features, Images, QualityMeasure
from memtk.results import MeasureInfo


def extractor_of(
    context: Context,
    part: ConfiguredComponent | None,
    embedder: ConfiguredComponent | None,
    detector: Detector | None,
    training: Images,
) -> Detector | None:
    """Return the network whose features are compared; None where no metric asks for any.

    The run's own copy detector serves where no other embedder was named. Another one that does not
    come trained is trained on the same images as the copy detector.

    Args:
        embedder: that of the copy detector.
        detector: the copy detector; None in image space.
        training: the images that it is trained on.
    """
    if part is None:
        return None
    if part == embedder:
        return detector
    return Detector(
        context, part, training, context.folder / "extractor", f"the extractor {part.name}"
    )


def seen_by(extractor: Detector | None) -> str | None:
    """Return which images the extractor was trained on, as a result says it."""
    if extractor is None:
        return None
    return "given" if extractor.given else "training"


def measure_quality(
    parts: Sequence[ConfiguredComponent],
    seen: EmbeddedSets | None,
    validation: Images,
    synthetic: Images,
    extractor: str,
) -> tuple[dict[str, float], dict[str, MeasureInfo]]:
    """Return the measures by name, and what belongs to each number.

    A measure that is undefined at these sizes has no number; the word on it stays.

    Args:
        seen: what the extractor sees; None where no metric asks for features.
        synthetic: the images that are measured.
        extractor: its name, which stands in the name of every measure of features.
    """
    features = None
    if seen is not None and seen.synthetic is not None:
        rows = (np.asarray(part[:]) for part in (seen.training, seen.validation, seen.synthetic))
        features = Features(*rows)
    quality: dict[str, float] = {}
    measured: dict[str, MeasureInfo] = {}
    for part in parts:
        if by_features(part):
            assert features is not None
            found, suffix, network = part.make()(features), f"[{extractor}]", extractor
        else:
            found, suffix, network = part.make()(validation, synthetic), "", ""
        with part.entry.blamed("its call"):
            for name, measure in _named(part.name, found):
                value, real = as_number(measure.value), measure.real
                if math.isfinite(value):
                    quality[name + suffix] = value
                measured[name + suffix] = MeasureInfo(
                    real=as_number(real) if real is not None and math.isfinite(real) else None,
                    better=measure.better,
                    against=measure.against,
                    extractor=network,
                    note=measure.note,
                )
    return quality, measured


def by_features(part: ConfiguredComponent) -> bool:
    """Tell whether a metric compares features, not images."""
    return getattr(part.cls, "space", "image") == "features"


def as_number(value: Any) -> float:
    """Return what a plugin gave as a number.

    Raises:
        TypeError: for a text, a truth value, and all that is no number to Python.
    """
    if isinstance(value, str | bytes | bool):
        raise TypeError(f"a number is needed, not a {type(value).__name__}")
    return float(value)


def _named(
    metric: str, found: Mapping[str, float | QualityMeasure]
) -> Iterator[tuple[str, QualityMeasure]]:
    """Return the measures by whole names; a number that says no more is one without a line."""
    for name, value in found.items():
        if not isinstance(name, str):
            raise TypeError(f"a measure is named by a text, not a {type(name).__name__}")
        measure = value if isinstance(value, QualityMeasure) else QualityMeasure(value)
        yield (name if name == metric else f"{metric}.{name}"), measure
