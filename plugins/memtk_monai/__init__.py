"""Models of MONAI's networks in 2D and 3D: latent diffusion, rectified flow, GAN, VAE; bundles."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the models, and bundles that come trained."""
    needs = ("monai", "einops")
    return (
        Component(
            name="monai3d",
            target="memtk_monai.latent_diffusion:MonaiLatentDiffusion3d",
            summary="MONAI's latent diffusion, or rectified flow, for volumes.",
            dims=frozenset({3}),
            needs=needs,
            install="pip install monai einops",
        ),
        Component(
            name="monai2d",
            target="memtk_monai.latent_diffusion:MonaiLatentDiffusion2d",
            summary="MONAI's latent diffusion, or rectified flow, for 2D images.",
            dims=frozenset({2}),
            needs=needs,
            install="pip install monai einops",
        ),
        Component(
            name="monai-bundle",
            target="memtk_monai.bundle:MonaiBundle",
            summary="A MONAI bundle of a latent diffusion model or rectified flow (MAISI).",
            needs=needs,
            install="pip install monai einops",
        ),
        Component(
            name="gan3d",
            target="memtk_monai.gan:MonaiGan3d",
            summary="A generative adversarial network for volumes, of MONAI's networks.",
            dims=frozenset({3}),
            needs=("monai",),
            install="pip install monai",
        ),
        Component(
            name="gan2d",
            target="memtk_monai.gan:MonaiGan2d",
            summary="A generative adversarial network for 2D images, of MONAI's networks.",
            dims=frozenset({2}),
            needs=("monai",),
            install="pip install monai",
        ),
        Component(
            name="vae3d",
            target="memtk_monai.vae:MonaiVae3d",
            summary="MONAI's variational autoencoder of volumes, sampled from its prior.",
            dims=frozenset({3}),
            needs=("monai",),
            install="pip install monai",
        ),
        Component(
            name="vae2d",
            target="memtk_monai.vae:MonaiVae2d",
            summary="MONAI's variational autoencoder of 2D images, sampled from its prior.",
            dims=frozenset({2}),
            needs=("monai",),
            install="pip install monai",
        ),
    )
