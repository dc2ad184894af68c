"""Ways to memorize less."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_mitigations() -> Iterable[Component]:
    """Bring the mitigations."""
    return (
        Component(
            name="augment",
            target="memtk_mitigations.generator:Augment",
            summary="Flips and turns the training images by up to 5 degrees, each half the time.",
        ),
        Component(
            name="datasize",
            target="memtk_mitigations.training_set:DataSize",
            summary="Trains on some of the patients alone, to see what the number of them does.",
        ),
        Component(
            name="deduplicate",
            target="memtk_mitigations.training_set:Deduplicate",
            summary="Leaves out training images that are near copies of another one.",
        ),
        Component(
            name="distill",
            target="memtk_mitigations.filters:Distill",
            summary="Trains a fresh generator on what a first one made, without its copies.",
        ),
        Component(
            name="early-stop",
            target="memtk_mitigations.early_stop:EarlyStop",
            summary="Takes the checkpoint that is best in memorization and quality together.",
        ),
        Component(
            name="release-filter",
            target="memtk_mitigations.filters:ReleaseFilter",
            summary="Holds back the synthetic images that are named as copies.",
        ),
        Component(
            name="smaller",
            target="memtk_mitigations.generator:Smaller",
            summary="Halves the channels of the generator's networks.",
        ),
    )
