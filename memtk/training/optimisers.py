"""The optimiser of each turn, and which parameters it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Adam, AdamW

from memtk.errors import PluginError, UserError
from memtk.interfaces import Phase, Trainable, Turn
from memtk.training.checkpoints import WAY_OUT


def moved_by(model: Trainable, phase: Phase, turn: Turn) -> list[nn.Parameter]:
    """Return the parameters of a turn, each once.

    Raises:
        PluginError: if there are none, or some are not the model's (they would not be saved).
    """
    parameters = list(dict.fromkeys(turn.parameters()))
    own = set(model.parameters())
    strangers = sum(p not in own for p in parameters)
    if not parameters or strangers:
        what = f"{strangers} parameters outside the model" if strangers else "no parameters"
        raise PluginError(
            f"{type(model).__name__}: turn {turn.name!r} of phase {phase.name!r} moves {what}"
        )
    return parameters


def make_adam(turn: Turn, parameters: Sequence[nn.Parameter], decay: float = 0.0) -> Adam:
    """Return Adam with the turn's betas. Kingma and Ba, arXiv 1412.6980.

    Args:
        decay: of the weights, multiplied with the learning rate at each step and apart from the
            gradient: AdamW. Loshchilov and Hutter, arXiv 1711.05101.
    """
    fused = all(p.device.type in {"cpu", "cuda"} for p in parameters)
    if decay:
        rate = turn.learning_rate
        return AdamW(parameters, lr=rate, betas=turn.betas, weight_decay=decay, fused=fused)
    return Adam(parameters, lr=turn.learning_rate, betas=turn.betas, fused=fused)


def set_rate(optimiser: Adam, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def restore(optimisers: Mapping[str, Adam], saved: Mapping[str, Any]) -> None:
    """Give each turn's optimiser the state saved under the turn's name.

    Raises:
        UserError: if it does not fit.
    """
    try:
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(saved[name])
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"the saved optimisers do not fit this model ({error}): {WAY_OUT}"
        ) from error
