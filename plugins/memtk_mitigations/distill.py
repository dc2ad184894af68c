"""A second generator that has seen no patient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memtk.interfaces import Choice, Images, Mitigation
from memtk_mitigations.release_filter import FilterConfig, innocent


class Distill(Mitigation):
    """Trains a fresh generator on the synthetic images of a first one, without those flagged.

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
        """Keep the first generator's images that are not flagged."""
        return innocent(found, self.config)
