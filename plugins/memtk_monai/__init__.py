"""MONAI's latent diffusion model: KL autoencoder and diffusion U-Net, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the latent diffusion models."""
    needs = ("monai", "einops")
    return (
        Component(
            name="monai3d",
            target="memtk_monai.latent_diffusion:MonaiLatentDiffusion3d",
            summary="MONAI's latent diffusion for volumes: KL autoencoder, diffusion U-Net.",
            dims=frozenset({3}),
            needs=needs,
            install="pip install monai einops",
        ),
        Component(
            name="monai2d",
            target="memtk_monai.latent_diffusion:MonaiLatentDiffusion2d",
            summary="The same model for 2D images.",
            dims=frozenset({2}),
            needs=needs,
            install="pip install monai einops",
        ),
        Component(
            name="monai-bundle",
            target="memtk_monai.bundle:MonaiBundle",
            summary="A MONAI bundle of an unconditional latent diffusion model: trained.",
            needs=needs,
            install="pip install monai einops",
        ),
    )
