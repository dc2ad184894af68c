"""Ways to memorize less: augmentation, and fewer (or more) patients to learn from."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_mitigations() -> Iterable[Component]:
    """Bring the mitigations."""
    return (
        Component(
            name="augment",
            target="memtk_mitigations.augment:Augment",
            summary="Flips and turns the training images by up to 5 degrees, each half the time.",
        ),
        Component(
            name="datasize",
            target="memtk_mitigations.datasize:DataSize",
            summary="Trains on some of the patients alone, to see what the number of them does.",
        ),
    )
