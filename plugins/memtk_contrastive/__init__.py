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
            summary="The reference method's contrastive 3D encoder, at any size.",
            dims=frozenset({3}),
        ),
        Component(
            name="ntxent2d",
            target="memtk_contrastive.embedder:Contrastive2d",
            summary="The same for 2D images, or the reference method's ResNet-50 (paper-xray).",
            dims=frozenset({2}),
        ),
    )
