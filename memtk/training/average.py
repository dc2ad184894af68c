"""The exponential moving average (EMA) of weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """a <- d a + (1 - d) w at each update, with d = min(decay, (1 + n) / (10 + n)).

    n counts the updates, so that the first weights, which are random, are soon forgotten.

    Args:
        parameters: the weights w that are averaged. The average starts as a copy of them.
        decay: in (0, 1).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.updates = 0
        self.weights = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights in."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(decay)(self.weights, [p.detach() for p in self.parameters], None)
        self.updates += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights with the average, if it was ever updated."""
        if not self.updates:
            return  # it is what the training started from: random weights
        for weight, parameter in zip(self.weights, self.parameters, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(weight)
            weight.copy_(kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights for the length of a block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {"updates": self.updates, "weights": self.weights}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        saved: list[Tensor] = state["weights"]
        self.updates = int(state["updates"])
        for weight, other in zip(self.weights, saved, strict=True):
            weight.copy_(other)
