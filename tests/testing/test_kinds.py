from __future__ import annotations

import pytest

from memtk.component import KINDS
from memtk.testing import Case
from memtk.testing.case import kind_of, missing_parts


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_class_is_told_from_what_it_has(sound, kind):
    assert kind_of(getattr(sound, kind)) == kind


@pytest.mark.parametrize("thing", [dict, 3, None, "copycat", object])
def test_what_is_no_component_has_no_kind(thing):
    assert kind_of(thing) == "" and Case(thing).kind == ""


def test_a_metric_of_features_takes_one_argument():
    class Metric:
        space = "features"

        def __call__(self, features):
            return {}

    assert kind_of(Metric) == "quality"


def test_what_a_class_lacks_is_told_by_name(sound):
    assert missing_parts("reader", dict) == ["suffixes", "records", "read"]
    wrong = type("Wrong", (sound.quality,), {"__call__": lambda self, fake: {}})
    assert missing_parts("quality", wrong) == ["a call of 2 arguments (it takes 1)"]
