"""diffusers' U-Net as a generator that is trained, and its saved pipelines as trained ones."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the model and the pipelines."""
    return (
        Component(
            name="diffusers2d",
            target="memtk_diffusers.diffusion:Diffusers2d",
            summary="diffusers' UNet2DModel, on pixels or on latents of its AutoencoderKL.",
            dims=frozenset({2}),
            needs=("diffusers",),
            install="pip install diffusers",
        ),
        Component(
            name="diffusers-pipeline",
            target="memtk_diffusers.pipeline:DiffusersPipeline",
            summary="A saved diffusers pipeline, without prompts or of a file of them.",
            dims=frozenset({2}),
            needs=("diffusers", "safetensors"),
            install="pip install diffusers safetensors",
        ),
    )
