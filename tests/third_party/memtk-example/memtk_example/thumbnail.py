"""An embedder that comes trained: the image, made small."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from memtk.interfaces import ComponentConfig, Embedder, ImageSpec, Phase


class ThumbnailConfig(ComponentConfig):
    """One number."""

    side: int = Field(4, ge=1, description="voxels a side")


class Thumbnail(Embedder):
    """Means over `side` blocks along each axis, one after the other."""

    Config = ThumbnailConfig
    config: ThumbnailConfig

    def __init__(self, config: ThumbnailConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.width = spec.channels * config.side**spec.dims

    def phases(self) -> tuple[Phase, ...]:
        """Return none: there is nothing to train."""
        return ()

    def embed(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) to embeddings (B, D)."""
        pool = F.adaptive_avg_pool3d if self.spec.dims == 3 else F.adaptive_avg_pool2d
        return pool(x, self.config.side).flatten(1)  # (B, D)
