from __future__ import annotations

import pytest

from memtk.interfaces import ComponentConfig, ImageSpec, QualityMeasure
from memtk.testing import check_quality_metric

SPEC = ImageSpec((4, 4))


class Shift:
    """The difference of the means."""

    def __call__(self, real, fake):
        first, second = (images.read(range(len(images))).mean() for images in (real, fake))
        return {"shift": float(first - second)}


class Scaled(Shift):
    class Config(ComponentConfig):
        by: float = 2.0

    def __init__(self, config):
        self.by = config.by

    def __call__(self, real, fake):
        return {"shift": self.by * super().__call__(real, fake)["shift"]}


def test_a_sound_metric_passes_with_and_without_settings():
    check_quality_metric(Shift, spec=SPEC)
    check_quality_metric(Scaled, {"by": 3.0}, SPEC)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3.0, "Broken gives no measures by their names"),
        ({}, "Broken gives no measures by their names"),
        ({1: 1.0}, "Broken gives 1 = 1.0"),
    ],
)
def test_unsound_measures_are_told(complaint, value, sentence):
    broken = type("Broken", (Shift,), {"__call__": lambda self, real, fake: value})
    assert sentence in complaint(check_quality_metric, broken, spec=SPEC)


class Spread:
    """The spread of the synthetic features beside that of the validation ones."""

    space = "features"

    def __call__(self, features):
        line = float(features.validation.std())
        return {"spread": QualityMeasure(float(features.synthetic.std()), line, "real")}


def test_a_sound_metric_of_features_passes():
    check_quality_metric(Spread)


@pytest.mark.parametrize(
    ("measure", "sentence"),
    [
        (QualityMeasure(1.0, None, "bigger"), "says of 'a' that 'bigger' is better"),
        (QualityMeasure(1.0, float("inf"), "higher"), "gives 'a' the line inf"),
        (QualityMeasure(1.0), "values near the line are good, and gives no line"),
        (QualityMeasure(float("nan"), 1.0), "expected a name and a finite number"),
    ],
)
def test_measures_that_cannot_be_compared_are_told(complaint, measure, sentence):
    broken = type("Broken", (Spread,), {"__call__": lambda self, features: {"a": measure}})
    assert sentence in complaint(check_quality_metric, broken)


def test_a_metric_that_changes_its_features_or_names_no_space_is_told(complaint):
    class Careless(Spread):
        def __call__(self, features):
            features.synthetic[:] = features.synthetic / features.synthetic.std()
            return {"one": 1.0}

    assert "changes what it is given" in complaint(check_quality_metric, Careless)
    lost = type("Lost", (Shift,), {"space": "pixels"})
    assert "not 'image' or 'features'" in complaint(check_quality_metric, lost)
