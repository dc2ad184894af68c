"""Embedders trained so that views of one image lie together and other images apart."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from memtk.config import merge
from memtk.imaging.augmentation import paper_pair, strong
from memtk.interfaces import ComponentConfig, Embedder, ImageSpec, Phase, PhaseSettings, Turn
from memtk.noise import Noise
from memtk_contrastive.encoder import Encoder
from memtk_contrastive.ntxent import ntxent

SMOKE = {
    "width": 4,
    "stem_stride": 2,
    "learning_rate": 2e-3,
    "training": {"steps": 20, "batch_size": 8, "precision": "float32"},
}
DEMO: dict[str, Any] = {
    "width": 8,
    "stem_stride": 2,
    "learning_rate": 2e-3,
    "dropout": 0.0,  # half of the hidden layer is too much for a few hundred steps
    "temperature": 0.1,
    "augmentation": "strong",
    "training": {
        "steps": 220,
        "batch_size": 32,
        "schedule": "one-cycle",
        # Where channels are few, convolutions of volumes go backward faster in float32 on a CPU.
        "precision": "float32",
    },
}


class ContrastiveConfig(ComponentConfig):
    """The reference method's network and training by default."""

    width: int = Field(16, ge=1, description="channels at full resolution; doubles a level")
    bottleneck: int = Field(8, ge=1, description="channels at the bottom of the encoder")
    bottom: int = Field(
        4, ge=1, description="shortest side at the bottom of the encoder, in voxels"
    )
    stem_stride: int = Field(
        1, ge=1, description="stride of the first convolution; more skips full resolution"
    )
    groups: int = Field(32, ge=1, description="most groups of a group norm")
    hidden: int = Field(128, ge=1, description="width of the hidden layer of the head")
    embedding: int = Field(32, ge=2, description="width of the embedding")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the hidden layer dropped")
    temperature: float = Field(0.07, gt=0, description="of NT-Xent")
    augmentation: Literal["paper", "strong"] = Field(
        "paper",
        description="paper: one view unchanged, one turned and flipped; "
        "strong: both views turned, flipped, shifted, blurred, with noise and other contrast",
    )
    learning_rate: float = Field(1e-4, gt=0, description="of Adam")
    training: PhaseSettings = PhaseSettings.model_validate(
        {"steps": 18_000, "batch_size": 10, "schedule": "cosine"}
    )


class Contrastive3d(Embedder):
    """Encoder and two dense layers, trained with NT-Xent on pairs of views of each image.

    The embedding is the output of the last layer, for training and for comparison alike.

    Reference: Dar et al., arXiv 2402.01054, section 4.3.
    """

    Config = ContrastiveConfig
    config: ContrastiveConfig
    presets: ClassVar = {"smoke": SMOKE, "demo": DEMO, "paper": {}}

    def __init__(self, config: ContrastiveConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.width = config.embedding
        self.encoder = Encoder(
            spec.channels,
            spec.shape,
            width=config.width,
            bottleneck=config.bottleneck,
            bottom=config.bottom,
            groups=config.groups,
            stem_stride=config.stem_stride,
        )
        self.hidden = nn.Linear(self.encoder.features, config.hidden)
        self.last = nn.Linear(config.hidden, config.embedding)

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase, with one turn."""
        turn = Turn("embedder", self.parameters, self._loss, self.config.learning_rate)
        return (Phase("training", self.config.training, (turn,), whole_batch=True),)

    def embed(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) in [-1, 1] to embeddings (B, D)."""
        return self._embed(x, None)

    def _embed(self, x: Tensor, scale: Tensor | None) -> Tensor:
        hidden = self.hidden(self.encoder(x)).relu()  # (B, hidden)
        return self.last(hidden if scale is None else hidden * scale)

    def _loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        if self.config.augmentation == "paper":
            views = torch.cat([x, paper_pair(x, noise)])
        else:
            views = torch.cat([strong(x, noise), strong(x, noise)])
        # Dropout from `noise`, so that a step is a function of its seed alone.
        keep = 1 - self.config.dropout
        kept = noise.uniform(2, self.config.hidden) < keep  # (B, 2, hidden)
        scale = torch.cat(kept.unbind(1)).to(x) / keep  # (2B, hidden)
        first, second = self._embed(views, scale).chunk(2)
        return {"ntxent": ntxent(first, second, self.config.temperature)}


class Contrastive2d(Contrastive3d):
    """The same network with 2D convolutions."""

    presets: ClassVar = {
        "smoke": SMOKE,
        "paper": {},
        "demo": merge(DEMO, {"training": {"steps": 300, "batch_size": 64}}),
    }
