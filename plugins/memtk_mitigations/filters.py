"""Synthetic images that are named: held back, or kept from a second generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from memtk.interfaces import Choice, ComponentConfig, Images, Mitigation
from memtk.memorization.exposure import below, withhold


class FilterConfig(ComponentConfig):
    """Which synthetic images are dropped."""

    drop: Literal["flagged", "alpha"] = Field(
        "flagged",
        description="flagged: those that are named, sure or suspect; alpha: all with p <= alpha, "
        "which takes innocent ones along",
    )
    alpha: float = Field(0.05, ge=1e-9, lt=1, description="for drop=alpha")


class ReleaseFilter(Mitigation):
    """Holds the synthetic images back that the run's copy detector flags.

    Those are the copies, images identical to a training image, and the nearest synthetic image of
    each training image that is exposed; see `memtk.memorization.withhold`. `memtk release` does the
    same with images that are there already.

    It changes what goes out, not the generator: what the generator has memorized it still has, and
    who samples it again gets copies again.
    """

    Config = FilterConfig
    config: FilterConfig

    def screen(self, synthetic: Images, found: Mapping[str, np.ndarray]) -> Choice:
        """Keep the synthetic images that are not named."""
        return innocent(found, self.config)


def innocent(found: Mapping[str, np.ndarray], config: FilterConfig) -> Choice:
    """Choose what is not suspicious, of M synthetic images."""
    gone = withhold(found, config.drop, config.alpha)
    if config.drop == "alpha":
        named = below(found, "copies", config.alpha)
        how = f"nearer to a training image than chance allows (p <= {config.alpha:g})"
    else:
        named, how = found["copies_flagged"].astype(bool), "named as copies"
    copies, near = int(named.sum()), found.get("copies_near", named).astype(bool) & ~named
    others = int((gone & ~named & ~near).sum())
    why = f"{copies or 'None'} {'is' if copies < 2 else 'are'} {how}"
    if unlike := int(near.sum()):
        why += f"; {unlike} more would be, if those compared were alike"
    if others:
        why += f"; {others} more identical to a training image or nearest to an exposed one"
    return Choice(np.flatnonzero(~gone), f"{why}.")


class Distill(Mitigation):
    """Trains a fresh generator on the synthetic images of a first one, without those named.

    The first generator is trained on the training images and sampled as often as the bench asks
    (`--samples`). Its copies are taken out by the run's copy detector, as `release-filter` does it,
    and a generator of the same kind and settings is trained on the rest. That one is judged by a
    second embedder, against the original training images.

    The second generator can still learn copies that went unnoticed; and it learns from fewer
    images, the fewer the more the first has copied.

    Reference: Fernandez et al., "Privacy Distillation: Reducing Re-identification Risk of
    Multimodal Diffusion Models", arXiv 2306.01322 (2023).
    """

    Config = FilterConfig
    config: FilterConfig

    def teach(self, synthetic: Images, found: Mapping[str, np.ndarray]) -> Choice:
        """Keep the first generator's images that are not named."""
        return innocent(found, self.config)
