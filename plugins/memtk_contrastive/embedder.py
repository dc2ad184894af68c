"""Embedders trained so that views of one image lie together and other images apart."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from memtk.config import merge
from memtk.imaging.augmentation import deform, paper_pair, strong, wide
from memtk.interfaces import ComponentConfig, Embedder, ImageSpec, Phase, PhaseSettings, Turn
from memtk.noise import Noise
from memtk_contrastive.encoder import Encoder
from memtk_contrastive.ntxent import ntxent
from memtk_contrastive.reduction import reduce, reduced_shape

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


AUDIT: dict[str, Any] = merge(
    DEMO,
    {
        "resolution": 48,
        # The more numbers, the less alike are strangers by chance.
        "embedding": 128,
        "mirror": True,
        "augmentation": "wide",
        "deformed": 0.6,
        "training": {"steps": 240},
    },
)


class ContrastiveConfig(ComponentConfig):
    """The reference method's network and training by default."""

    resolution: int | None = Field(
        None,
        ge=8,
        description="longest axis in voxels; longer images are reduced first, each voxel the mean "
        "of those it covers; none: as they are",
    )
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
    augmentation: Literal["paper", "strong", "wide"] = Field(
        "paper",
        description="paper: one view unchanged, one turned and flipped; "
        "strong: both views turned, flipped, shifted, blurred, with noise and other contrast; "
        "wide: the same more often and further, in proportion to the image",
    )
    deformed: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the images that are warped, before both views are made of them, into "
        "the image of somebody else; they teach more strangers than there are patients",
    )
    warp: float = Field(
        0.1, gt=0, lt=1, description="spread of those displacements, in halves of each axis"
    )
    mirror: bool = Field(
        False,
        description="embed an image and its mirror image along the last axis, and add the two unit "
        "vectors: a flip then changes nothing",
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
    presets: ClassVar = {"smoke": SMOKE, "demo": DEMO, "audit": AUDIT, "paper": {}}

    def __init__(self, config: ContrastiveConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.width = config.embedding
        self.shape = reduced_shape(spec.shape, config.resolution)
        self.encoder = Encoder(
            spec.channels,
            self.shape,
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
        x = reduce(x, self.shape)
        if not self.config.mirror:
            return self._embed(x, None)
        # Two calls, not one of twice the rows: swapping the two is then exact.
        return F.normalize(self._embed(x, None)) + F.normalize(self._embed(x.flip(-1), None))

    def _embed(self, x: Tensor, scale: Tensor | None) -> Tensor:
        hidden = self.hidden(self.encoder(x)).relu()  # (B, hidden)
        return self.last(hidden if scale is None else hidden * scale)

    def _views(self, x: Tensor, noise: Noise) -> Tensor:
        """Return two views (2B, C, *S) of reduced images: first all first ones, then the others."""
        if self.config.deformed:
            chosen = noise.uniform(1)[:, 0] < self.config.deformed  # (B,)
            x = deform(x, self.config.warp * chosen, noise)
        if self.config.augmentation == "paper":
            return torch.cat([x, paper_pair(x, noise)])
        change = strong if self.config.augmentation == "strong" else wide
        return torch.cat([change(x, noise), change(x, noise)])

    def _loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        views = self._views(reduce(x, self.shape), noise)
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
        "audit": merge(AUDIT, {"resolution": 64, "training": {"steps": 700, "batch_size": 64}}),
    }
