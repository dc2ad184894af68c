"""A model says what it is: its phases, turns and losses. The core trains it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

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
    """

    name: str
    settings: PhaseSettings
    turns: tuple[Turn, ...] = ()
    encode: Callable[[Tensor], Tensor] | None = None
    begin: Callable[[Iterable[Tensor]], None] | None = None
    whole_batch: bool = False


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
