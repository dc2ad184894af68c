"""Similarities of embeddings and of images."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_similarities() -> Iterable[Component]:
    """Bring the similarities, one module each."""
    return (
        Component(
            name="pearson",
            target="memtk_measures.pearson:Pearson",
            summary="Pearson correlation of two embeddings: the reference method's measure.",
        ),
        Component(
            name="cosine",
            target="memtk_measures.cosine:Cosine",
            summary="Cosine of the angle between two embeddings.",
        ),
        Component(
            name="euclidean",
            target="memtk_measures.euclidean:Euclidean",
            summary="Minus the Euclidean distance of two embeddings.",
        ),
        Component(
            name="ncc",
            target="memtk_measures.ncc:Ncc",
            summary="Normalised cross-correlation of the images themselves; needs no embedder.",
        ),
    )
