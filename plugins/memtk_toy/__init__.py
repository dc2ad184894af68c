"""Generators whose truth is known: one gives back its training images, one never does."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the two controls."""
    return (
        Component(
            name="copycat",
            target="memtk_toy.controls:Copycat",
            summary="Gives back its training images: a bench must find all of them (about 1).",
        ),
        Component(
            name="independent",
            target="memtk_toy.controls:Independent",
            summary="Gives back patients nobody trained on: a bench must find none (about 0).",
        ),
    )
