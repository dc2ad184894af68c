"""MedDiff: a 3D VQ-GAN and a factorised 3D diffusion U-Net, for volumes."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the model."""
    return (
        Component(
            name="meddiff3d",
            target="memtk_meddiff.generator:MedDiff3d",
            summary="MedDiff's latent diffusion for volumes: 3D VQ-GAN, factorised 3D U-Net.",
            dims=frozenset({3}),
        ),
    )
