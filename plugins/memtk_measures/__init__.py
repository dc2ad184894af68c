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
            target="memtk_measures.similarities:Pearson",
            summary="Pearson correlation of two embeddings: the reference method's measure.",
        ),
        Component(
            name="cosine",
            target="memtk_measures.similarities:Cosine",
            summary="Cosine of the angle between two embeddings.",
        ),
        Component(
            name="euclidean",
            target="memtk_measures.similarities:Euclidean",
            summary="Minus the Euclidean distance of two embeddings.",
        ),
        Component(
            name="ncc",
            target="memtk_measures.similarities:Ncc",
            summary="Normalised cross-correlation of the images themselves; needs no embedder.",
        ),
    )


@hookimpl
def memtk_quality_metrics() -> Iterable[Component]:
    """Bring the measures of quality and diversity."""
    return (
        Component(
            name="fid",
            target="memtk_measures.features:Fid",
            summary="Frechet distance of features from validation images; lower is better. Biased "
            "by the number of images; needs more of them than features.",
        ),
        Component(
            name="kid",
            target="memtk_measures.features:Kid",
            summary="Kernel distance of features from validation images, unbiased, so it may be "
            "negative; lower is better.",
        ),
        Component(
            name="prdc",
            target="memtk_measures.features:Prdc",
            summary="Precision and density (do they look real), recall and coverage (is all there) "
            "against validation images, by neighbourhoods of features; higher is better.",
        ),
        Component(
            name="vendi",
            target="memtk_measures.diversity:Vendi",
            summary="Effective number of different synthetic images, from the cosines of their "
            "features; higher is more diverse, validation images are the line.",
        ),
        Component(
            name="authpct",
            target="memtk_measures.copying:AuthPct",
            summary="Percentage of synthetic images further from their nearest training image than "
            "that is from its own neighbour; below validation images: copies.",
        ),
        Component(
            name="ct",
            target="memtk_measures.copying:Ct",
            summary="Data-copying test: are synthetic images nearer to the training images than "
            "validation images are? Far below 0: copies; far above: unlike real ones.",
        ),
        Component(
            name="nndr",
            target="memtk_measures.copying:Nndr",
            summary="Distance to the nearest over that to the second nearest training image; below "
            "validation images: copies.",
        ),
        Component(
            name="ms-ssim",
            target="memtk_measures.diversity:MsSsim",
            summary="Likeness of synthetic images to each other, on the images themselves; higher "
            "is less diverse, validation images are the line.",
            needs=("monai",),
            install="pip install monai",
        ),
    )
