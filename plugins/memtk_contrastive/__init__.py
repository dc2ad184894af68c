"""Embedders that are trained to tell copies of an image from other images (NT-Xent)."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_embedders() -> Iterable[Component]:
    """Bring the contrastive embedders."""
    return (
        Component(
            name="ntxent3d",
            target="memtk_contrastive.embedder:Contrastive3d",
            summary="Contrastive copy detector for volumes: the reference method's network, at any "
            "size.",
            dims=frozenset({3}),
        ),
        Component(
            name="ntxent2d",
            target="memtk_contrastive.embedder:Contrastive2d",
            summary="Contrastive copy detector for 2D images: the reference method's network, or "
            "its ResNet-50.",
            dims=frozenset({2}),
        ),
    )
