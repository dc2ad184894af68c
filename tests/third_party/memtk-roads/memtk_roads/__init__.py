"""One generator; the other roads need no plugin. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the conditional generator."""
    yield Component(
        name="class-mean",
        target="memtk_roads.class_mean:ClassMean",
        summary="The mean image of each class, with noise.",
        cases="memtk_roads.cases:CASES",
    )
