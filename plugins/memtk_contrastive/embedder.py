"""Embedders trained so that views of one image lie together and other images apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memtk.imaging.augmentation import deform, mixed, paper_pair, strong, wide
from memtk.interfaces import Embedder, ImageSpec, Phase, Turn, in_float32
from memtk.noise import Noise
from memtk_contrastive import published
from memtk_contrastive.config import PRESETS_2D, PRESETS_3D, Contrastive2dConfig, ContrastiveConfig
from memtk_contrastive.networks import Encoder, Residual, ResNet50, take_imagenet

CLEAR = 8.0
"""Standard deviations from strangers at which a planted copy of a training image is seen: these are
pushed apart in training, and real strangers lie nearer."""

SHORTEST = 8
"""Voxels below which no axis is reduced."""


class Contrastive3d(Embedder):
    """Encoder and two dense layers, trained with NT-Xent on pairs of views of each image.

    The embedding is the output of the last layer, for training and for comparison alike. Presets
    `paper-mrnet` and `paper-pccta` (one network, for images of 32x256x256 and 64x64x64) are what
    the reference ran; `memtk_contrastive.config` says where its paper and its code differ.

    Reference: Dar et al., arXiv 2402.01054, section 4.3.

    Raises:
        UserError: if `weights` names a file that does not fit.
    """

    Config: ClassVar[type[ContrastiveConfig]] = ContrastiveConfig
    config: ContrastiveConfig
    presets: ClassVar = PRESETS_3D

    def __init__(self, config: ContrastiveConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.width = config.embedding
        self.resolution = self.shape = reduced_shape(spec.shape, config.resolution)
        self._comes_trained = False
        self._make_network()
        if config.weights:
            self.take_published(Path(config.weights).expanduser())

    def _make_network(self) -> None:
        config = self.config
        self.encoder = Encoder(
            self.spec.channels,
            self.shape,
            width=config.width,
            bottleneck=config.bottleneck,
            bottom=config.bottom,
            groups=config.groups,
            stem_stride=config.stem_stride,
        )
        self.hidden = nn.Linear(self.encoder.features, config.hidden)
        self.last = nn.Linear(config.hidden, config.embedding)

    @property
    def levels(self) -> int | None:
        """Levels of the encoder; None without one."""
        return sum(isinstance(module, Residual) for module in self.encoder.layers)

    def take_published(self, path: Path) -> None:
        """Take a checkpoint of the reference's code; nothing is left to train then.

        Raises:
            UserError: if it cannot be read or does not fit, with the nearest preset.
        """
        published.take(self, path, self.levels, self.shape)
        self._comes_trained = True

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase, with one turn; none for weights that were published."""
        if self._comes_trained:
            return ()
        turn = Turn("embedder", self.parameters, self._loss, self.config.learning_rate)
        settings = self.config.training
        # Reduced once, not at each step: training costs the same whatever the size of the images.
        look = None if self.shape == tuple(self.spec.shape) else partial(reduce, shape=self.shape)
        return (
            Phase("training", settings, (turn,), encode=look, whole_batch=True, measure=self.seen),
        )

    def blocks_of(self, phase: str) -> Iterable[nn.Module]:
        """Return the residual blocks of the encoder."""
        return [module for module in self.modules() if isinstance(module, Residual)]

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

    def seen(self, x: Tensor, noise: Noise) -> float:
        """Return the share of planted copies of images (B, C, *S) that lie clear of strangers.

        A copy, changed in several ways at once, is nearer to its image than `CLEAR` standard
        deviations above the mean of what each image has nearest among the others, by the artanh of
        cosine similarity.

        Args:
            noise: a stream for each copy, of the first image, of the second and so on.
        """
        of = torch.arange(len(noise), device=x.device) % len(x)
        copies = F.normalize(self.embed(mixed(x[of], noise)))
        rows = F.normalize(self.embed(x))
        others = (rows @ rows.T).fill_diagonal_(-1).amax(1)
        own, near = ((a.clamp(max=1 - 1e-7)).atanh() for a in ((copies * rows[of]).sum(1), others))
        return float((own > near.mean() + CLEAR * near.std()).float().mean())

    def _views(self, x: Tensor, noise: Noise) -> Tensor:
        """Return two views (2B, C, *S) of reduced images: first all first ones, then the others."""
        if self.config.deformed:
            chosen = noise.uniform(1)[:, 0] < self.config.deformed  # (B,)
            x = deform(x, self.config.warp * chosen, noise)
        if self.config.augmentation == "paper":
            return torch.cat([x, paper_pair(x, noise)])
        change = strong if self.config.augmentation == "strong" else wide
        return torch.cat([change(x, noise), change(x, noise)])

    def _pair(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the embeddings (B, D) of two views of each reduced image."""
        views = self._views(x, noise)
        # Dropout from `noise`, so that a step is a function of its seed alone.
        keep = 1 - self.config.dropout
        kept = noise.uniform(2, self.config.hidden) < keep  # (B, 2, hidden)
        scale = torch.cat(kept.unbind(1)).to(x) / keep  # (2B, hidden)
        first, second = self._embed(views, scale).chunk(2)
        return first, second

    def _loss(self, x: Tensor, noise: Noise) -> dict[str, Tensor]:
        first, second = self._pair(x, noise)
        return {"ntxent": ntxent(first, second, self.config.temperature)}


class Contrastive2d(Contrastive3d):
    """The same encoder with 2D convolutions, or ResNet-50 (preset `paper-xray`).

    Raises:
        UserError: if `weights` or `imagenet` names a file that does not fit, or none is named and
            ImageNet's weights are asked for.
    """

    Config = Contrastive2dConfig
    config: Contrastive2dConfig
    presets: ClassVar = PRESETS_2D

    def _make_network(self) -> None:
        config = self.config
        if config.network == "encoder":
            super()._make_network()
            return
        self.resnet = ResNet50(self.spec.channels, config.width, config.embedding)
        if config.start == "imagenet" and config.weights is None:
            take_imagenet(self.resnet, config.imagenet, config.stem)

    @property
    def levels(self) -> int | None:
        """Levels of the encoder; None without one."""
        return super().levels if self.config.network == "encoder" else None

    def _embed(self, x: Tensor, scale: Tensor | None) -> Tensor:
        return super()._embed(x, scale) if self.config.network == "encoder" else self.resnet(x)

    def _pair(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        if self.config.network == "encoder":
            return super()._pair(x, noise)
        # One view after the other: batch norm takes the statistics of each by itself, as there.
        first, second = (self.resnet(view) for view in self._views(x, noise).chunk(2))
        return first, second


def ntxent(first: Tensor, second: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the NT-Xent loss of K pairs, a scalar.

    For each of the 2K embeddings: the cross entropy of naming its partner among all others by
    cosine similarity over `temperature`; the mean over all 2K. `-log(exp(s_ij / T) / sum_k!=i
    exp(s_ik / T))`, SimCLR (Chen et al., arXiv 2002.05709, equation 1).

    Args:
        first: embeddings (K, D) of one view of each image.
        second: embeddings (K, D) of the other view, in the same order.
        temperature: T > 0; 0.07 in the reference method.
    """
    count = len(first)
    rows = F.normalize(torch.cat([first, second]).float(), dim=1)  # (2K, D)
    with in_float32(rows.device):
        scores = rows @ rows.T / temperature  # (2K, 2K)
    scores = scores.masked_fill(
        torch.eye(2 * count, dtype=torch.bool, device=rows.device), float("-inf")
    )
    partner = torch.arange(2 * count, device=rows.device).roll(count)
    return F.cross_entropy(scores, partner)


def reduced_shape(shape: Sequence[int], longest: int | None) -> tuple[int, ...]:
    """Return the shape whose longest axis has `longest` voxels, in the proportions of `shape`.

    An axis keeps `SHORTEST` voxels, if it has them. `shape` itself where it is no longer, or where
    `longest` is None.

    >>> reduced_shape((256, 192), 64), reduced_shape((32, 256, 256), 48)
    ((64, 48), (8, 48, 48))
    >>> reduced_shape((32, 48, 32), 48)
    (32, 48, 32)
    """
    if longest is None or max(shape) <= longest:
        return tuple(shape)
    factor = longest / max(shape)
    return tuple(max(round(n * factor), min(n, SHORTEST)) for n in shape)


def reduce(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Reduce images (B, C, *S) to (B, C, *shape): each voxel is the mean of those it covers.

    The images themselves where they have that shape already.
    """
    return x if tuple(x.shape[2:]) == tuple(shape) else F.interpolate(x, list(shape), mode="area")
