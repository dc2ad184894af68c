"""Similarities of embeddings and of images, and measures of quality."""

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


@hookimpl
def memtk_quality_metrics() -> Iterable[Component]:
    """Bring the measures of quality and diversity."""
    return (
        Component(
            name="ms-ssim",
            target="memtk_measures.ms_ssim:MsSsim",
            summary="Likeness of synthetic images to each other, beside that of real ones.",
            needs=("monai",),
            install="pip install monai",
        ),
    )
