"""Membership attacks: can it be told from a generator, or its images, who was trained on?"""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_attacks() -> Iterable[Component]:
    """Bring the attacks, one module each."""
    return (
        Component(
            name="denoising-loss",
            target="memtk_attacks.denoising:DenoisingLoss",
            summary="Is a diffusion model's own loss lower on an image? Needs the weights.",
        ),
        Component(
            name="secmi",
            target="memtk_attacks.denoising:SecMI",
            summary="Does an image come back from noising and denoising without chance (SecMI)? "
            "Needs the weights of a diffusion model.",
        ),
        Component(
            name="pia",
            target="memtk_attacks.denoising:PIA",
            summary="Does the noise found in a clean image stay the same further on (PIA)? Needs "
            "the weights of a diffusion model.",
        ),
        Component(
            name="gan-leaks",
            target="memtk_attacks.gan_leaks:GanLeaks",
            summary="How near is the nearest synthetic image? Needs the samples alone, of any "
            "generator.",
        ),
    )
