from __future__ import annotations

import pytest

from memtk.bench.effects import is_afterwards, overridden, split_names, with_method
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Mitigation
from memtk.registry import open_registry

KNOWN = {
    "augment": {"augment"},
    "datasize": {"choose"},
    "deduplicate": {"thin"},
    "distill": {"teach"},
    "early-stop": {"stop"},
    "release-filter": {"screen"},
    "smaller": {"adjust"},
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_mitigation_changes_is_told_by_its_methods(name):
    cls = open_registry().load("mitigation", name)
    assert overridden(cls) == KNOWN[name]
    assert is_afterwards(cls) == (name in {"early-stop", "release-filter"})


def test_a_configuration_is_no_method():
    class Own(Mitigation):
        class Config(ComponentConfig):
            """Nothing."""

        needs_quality = True

    assert overridden(Own) == set() and not is_afterwards(Own)


def test_one_that_changes_the_training_too_is_no_afterthought():
    class Both(Mitigation):
        def augment(self, x, noise):
            return -x

        def stop(self, course):
            return super().stop(course)

    made = Both(ComponentConfig())
    assert not is_afterwards(Both)
    assert with_method([made], "stop") == with_method([made], "augment") == [made]
    assert with_method([made], "screen") == []


@pytest.mark.parametrize("entry", ["", "+", "a+", "+a", "monai2d", "monai2d+"])
def test_an_entry_that_names_no_mitigation_is_refused(entry):
    with pytest.raises(UserError, match="name a mitigation"):
        split_names(entry, ["monai2d"])
