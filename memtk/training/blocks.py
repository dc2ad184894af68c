"""The blocks of a model, computed again in the backward pass or compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from memtk.errors import UserError
from memtk.interfaces import Phase, Trainable


def blocks_of(model: Trainable, phase: Phase) -> list[nn.Module]:
    """Return what `model.blocks_of(phase.name)` names, none where it has no such method.

    A model may have it; it returns modules of its own that the losses of a phase pass through by
    calling them, none inside another: residual blocks, levels of a U-Net. A block must not keep
    statistics of what passes through it (batch norm), which `recompute` would count twice.
    """
    found = getattr(model, "blocks_of", None)
    return list(dict.fromkeys(found(phase.name))) if found else []


def check_blocks(model: Trainable, phase: Phase) -> None:
    """See that a model can do what the settings of a phase ask of its blocks.

    Raises:
        UserError: if it names none.
    """
    settings = phase.settings
    asked = "recompute" if settings.recompute else "compile"
    if (settings.recompute or settings.compile != "off") and not blocks_of(model, phase):
        raise UserError(
            f"{type(model).__name__} names no blocks of its phase {phase.name!r}, which "
            f"{asked} works on: leave {asked} as it is by default"
        )


class Blocks:
    """Gives the blocks of a phase another `forward` until `close`.

    - `recompute`: the activations inside a block are forgotten and computed again when the
      backward pass reaches it, with the same dropout. Chen et al., arXiv 1604.06174.
    - `compile`: `torch.compile`, block by block, so that equal blocks are compiled once. What draws
      from `Noise` lies outside. After torch's limit of versions of one function (8), the others
      run as they are, with a warning of torch's.
    """

    def __init__(self, model: Trainable, phase: Phase) -> None:
        settings = phase.settings
        self._replaced: list[tuple[nn.Module, Callable[..., Any] | None]] = []
        if not settings.recompute and settings.compile == "off":
            return
        for block in blocks_of(model, phase):
            forward: Callable[..., Any] = block.forward
            if settings.compile != "off":
                forward = torch.compile(forward, backend=settings.compile)
            if settings.recompute:
                forward = partial(checkpoint, forward, use_reentrant=False)
            self._replaced.append((block, vars(block).get("forward")))
            block.forward = forward

    def close(self) -> None:
        """Give every block its own `forward` again."""
        for block, own in self._replaced:
            del block.forward
            if own is not None:
                block.forward = own
        self._replaced.clear()
