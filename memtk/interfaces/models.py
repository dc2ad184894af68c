"""Models: what is trained; generators; what copies are found by, an embedder and a likeness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from memtk.interfaces.condition import takes_condition
from memtk.interfaces.images import ImageSpec
from memtk.interfaces.settings import ComponentConfig, PhaseSettings
from memtk.noise import Noise

Loss = Callable[..., Mapping[str, Tensor]]
"""`(x, noise)`, or `(x, noise, condition)`; see `Turn`."""


@dataclass(frozen=True)
class Turn:
    """One optimiser (Adam) and what it minimises. Turns of a phase alternate at every step.

    Args:
        name: "autoencoder", "discriminator", ...
        parameters: returns the parameters that this turn moves, and no others.
        loss: `(x, noise) -> {term: scalar}`; the sum of the terms is minimised, so weights are
            already in them. `x` is what the phase trains on, (B, C, *S) or what `encode` made of
            it; `noise` has one stream for each row of `x`. One with an argument `condition` gets
            it: (B, K), what `spec.conditions` says of each row; left out in a run without.
        learning_rate: the highest rate of the schedule.
        betas: Adam's decay rates.
    """

    name: str
    parameters: Callable[[], Iterable[nn.Parameter]]
    loss: Loss
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own checkpoint series: an autoencoder, then a denoiser.

    Args:
        name: unique within the model; a key in the run folder.
        settings: steps, batch size and so on, from the model's own `Config`.
        turns: what alternates within a step (two for an adversarial autoencoder). Empty for a
            phase that only looks at the data in `begin`.
        encode: a frozen map `x (B, C, *S) -> (B, ...)`. The core runs it once over the training
            set, without gradient and in eval mode, and hands its rows to `loss` in place of the
            images. Cache what a random encoder draws from (mean and spread), draw in `loss`.
        begin: called once before the first step with batches of what the phase trains on, in
            order, the whole training set once: for a latent scale, say. What it finds out
            belongs into a buffer.
        whole_batch: True for a loss that couples the rows of a batch (a contrastive one). The
            batch is then never split: each process computes all of it, `accumulate` must be 1; and
            no image is in it twice, so it is smaller where there are fewer images.
        crops: where the losses take blocks of images, as those of convolutions do: raises a
            UserError for a shape that they cannot take. None: `PhaseSettings.crop` is refused.
        measure: `(x, noise) -> share`: how much of what the phase is for it does by now, in [0, 1],
            on up to 100 rows `x` of what it trains on, of one patient each; `noise` has 100
            streams. Called in eval mode, without gradient, with the averaged weights, where
            `PhaseSettings.enough` asks for it. Only for a model that keeps one checkpoint.
    """

    name: str
    settings: PhaseSettings
    turns: tuple[Turn, ...] = ()
    encode: Callable[[Tensor], Tensor] | None = None
    begin: Callable[[Iterable[Tensor]], None] | None = None
    whole_batch: bool = False
    crops: Callable[[ImageSpec], None] | None = None
    measure: Callable[[Tensor, Noise], float] | None = None


class Trainable(nn.Module, ABC):
    """Base of generators and embedders.

    A subclass declares `Config` and `phases()`. All that sampling or embedding needs besides the
    weights is a buffer, because a checkpoint is the `state_dict` and nothing else. Randomness
    comes from `Noise` alone. `forward` belongs to the core: it is where processes are joined.

    Optional methods, used where a subclass has them:
        `blocks_of(phase) -> Iterable[nn.Module]`: the blocks of the networks of a phase, by its
            name, that the settings `recompute` and `compile` work on.

    Class attributes:
        Config: a `ComponentConfig`; every field is a key of `--set generator.KEY=VALUE`.
        presets: overrides of `Config` by the name of a preset, `{"smoke": {"steps": 3}}`.

    Raises (in `__init__`):
        UserError: if the images of `spec` do not fit the network, with the nearest shape that does.
    """

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})

    def __init__(self, config: ComponentConfig, spec: ImageSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = spec

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """Return the phases in the order they are trained; `()` for a model that comes trained."""

    def forward(
        self, phase: str, turn: str, x: Tensor, noise: Noise, condition: Tensor | None = None
    ) -> Mapping[str, Tensor]:
        """Return the loss terms of one turn. Called by the core, through DDP."""
        for candidate in self.phases():
            if candidate.name == phase:
                for part in candidate.turns:
                    if part.name == turn:
                        if condition is None or not takes_condition(part.loss):
                            return part.loss(x, noise)
                        return part.loss(x, noise, condition=condition)
        raise KeyError(f"{type(self).__name__} has no turn {turn!r} in a phase {phase!r}")


def in_float32(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast, under which the core may compute losses, off for a block of a loss.

    For what needs all its digits. Tensors that come from outside are for the caller to cast.
    """
    if device.type == "meta":  # knows no autocast
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class Generator(Trainable):
    """A generative model of images.

    It is conditional if its `sample` has an argument `condition`; then its losses may have one too.
    A run with `--condition COLUMN` gives them a tensor (B, K), a number for each column, which
    `spec.conditions` explains: the code of a word, or a standardised number. A run without any
    leaves the argument out: `def sample(self, noise, condition=None)`.

    Optional methods, used where a subclass has them:
        `reconstruct(x (B, C, *S)) -> (B, C, *S)`: the autoencoder's round trip, for its PSNR.
        `denoising_loss(x, t, noise) -> (B,)`: of images (B, C, *S) at times t (B,), its own loss;
            what membership attacks need, with the next. Of a conditional one, without condition.
        `diffusion() -> Diffusion`: the noising process and the noise that the network predicts.
        `written_for(sample) -> str`: the path of the training image that the prompt of a sample was
            written for, "" where it was for none: then it is counted how often that one is nearest.
        `dry_run() -> str`: a line for the plan of a dry run, where sampling runs other programs.

    Class attributes:
        learns_from: the images it is trained on. `"held_out"` is for the control that must not
            know the training patients.
        of_sampling: settings that no training depends on, `{"guidance"}`: another value of one goes
            on with a training that is there.
        as_the_data: settings that take the values of the same keys of the data unless they are set
            (`"shape"`, for a generator that reads images). Optional.
    """

    learns_from: ClassVar[Literal["training", "held_out"]] = "training"
    of_sampling: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def most_samples(cls, images: int) -> int | None:
        """Return how many samples it can give once trained on so many images; None: any number."""
        return None

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """Return one synthetic image for each stream of `noise`: float32 (B, C, *S) in [-1, 1].

        Row i depends on stream i alone, and on row i of `condition` where it takes one: the same
        image whatever the batch it is drawn in. Called in eval mode without gradient.
        """


@dataclass(frozen=True)
class Diffusion:
    """The noising process `z_t = sqrt(a_t) z + sqrt(1 - a_t) eps` of a generator, and its network.

    Args:
        kept: a_t for t = 0, ..., T - 1: the share of the signal's variance that is left, (T,).
        clean: images (B, C, *S) in [-1, 1] -> what is noised, z (B, ...): the images themselves or
            their scaled latents. Nothing is drawn: the mean of a random encoder.
        noise: `(z_t (B, ...), t (B,))` -> the noise eps that the network finds in it, (B, ...).
    """

    kept: Tensor
    clean: Callable[[Tensor], Tensor]
    noise: Callable[[Tensor, Tensor], Tensor]

    def noised(self, z: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return z_t of `z` and `eps` (B, ...) for each row's time `t` (B,)."""
        kept = self.kept.to(z.device)[t].reshape(-1, *[1] * (z.dim() - 1))
        return kept.sqrt() * z + (1 - kept).sqrt() * eps


class Embedder(Trainable):
    """Maps an image to a vector of `width` D.

    Optional methods, used where a subclass has them:
        `take_published(path: Path) -> None`: take trained weights from a file that memtk did not
            write, which `memtk audit --weights` may name; a UserError if they do not fit. There is
            nothing to train then: `phases()` is empty.

    Attributes:
        width: D.
        resolution: (*S) to which `embed` and training reduce images by averages before they look,
            where they do; images of any size from there on are taken then, and whole ones need not
            be kept: what is given may be reduced. None: it looks at images as they are.
    """

    width: int
    resolution: tuple[int, ...] | None = None

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) in [-1, 1] to embeddings: float32 (B, D).

        Row i depends on image i alone.
        """


class Similarity(Protocol):
    """Likeness of two vectors, larger = more alike.

    `compare(prepare(q), prepare(r))` is the whole measure; `prepare` works row by row and is run
    once over each set, so that `compare` can be one matrix product. Both keep the dtype they are
    given: the search runs them in float32 and repeats the winners in float64, from several threads
    at once.

    Optional methods, used where a class has them:
        `pairs(queries (K, F'), references (K, F')) -> (K,)`: the similarity of each query with the
        reference in the same row, by which winners are decided in float64. Give a row the same
        bits whatever the other rows are, and equal images tie exactly. Without it, `compare` is
        called for one pair at a time.
        `compare_into(queries (Q, F'), references (R, F'), out (Q, R))`: writes what `compare` gives
        into `out`, which need not be contiguous; it saves fresh memory for each tile.
        `rounding(queries (Q, F'), references (R, F')) -> float`: the largest error of `compare` in
        the dtype of these rows. Without it, 8 sqrt(F') roundings of the largest similarity.

    Attributes:
        space: "embedding" compares embeddings (D wide), "image" the flattened images themselves.
    """

    space: Literal["embedding", "image"]

    def prepare(self, rows: Tensor) -> Tensor:
        """Map (N, F) to (N, F'), row by row.

        Raises:
            UserError: if a row has no defined similarity (no variance, say), naming its index.
        """
        ...

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (Q, R) of prepared queries (Q, F') and references (R, F')."""
        ...
