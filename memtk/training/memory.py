"""How much memory a phase of training will need: an estimate, made without computing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from memtk.interfaces import Phase, Trainable
from memtk.noise import Noise
from memtk.training.blocks import blocks_of
from memtk.training.optimisers import moved_by
from memtk.training.order import parts


def estimate(model: Trainable, phase: Phase, world: int = 1) -> int | None:
    """Return the bytes that a process needs at the peak of a step; None where it cannot be told.

    Added up: all weights and buffers; of what the phase moves, gradients, both of Adam's moments
    and the average; the batch; and what the forward pass of the costliest turn keeps for the
    backward pass, found by running it on the meta device in float32 (bfloat16 keeps up to half
    less). Left out: what single operations need for themselves, and what torch and the images take
    before training begins.

    Args:
        model: on the meta device (`model.to("meta")`).
        phase: of that model.
        world: processes that share a batch.
    """
    weights = [*model.parameters(), *model.buffers()]
    if not all(tensor.is_meta for tensor in weights):
        raise ValueError("estimate takes a model on the meta device")
    moved = {turn.name: moved_by(model, phase, turn) for turn in phase.turns}
    fixed = _bytes(weights) + 3 * sum(map(_bytes, moved.values()))
    if phase.settings.ema_decay and moved:
        fixed += _bytes(next(iter(moved.values())))
    was = [p.requires_grad for p in model.parameters()]
    try:
        kept = [_kept(model, phase, own, turn.name, world) for turn, own in _turns(phase, moved)]
    except Exception:  # a plugin's loss may not work on the meta device; then nobody can tell
        return None
    finally:
        for parameter, flag in zip(model.parameters(), was, strict=True):
            parameter.requires_grad_(flag)
    return fixed + max(kept, default=0)


def _turns(phase: Phase, moved: dict[str, list[nn.Parameter]]) -> Iterator[tuple[Any, Any]]:
    return ((turn, moved[turn.name]) for turn in phase.turns)


def _kept(model: Trainable, phase: Phase, moved: list[nn.Parameter], turn: str, world: int) -> int:
    """Return the bytes of a batch and of what one turn keeps of it."""
    settings = phase.settings
    split = parts(0, settings.batch_size, settings.accumulate, 0, world)
    rows = settings.batch_size if phase.whole_batch else max(len(p.samples) for p in split)
    x = torch.empty(rows, model.spec.channels, *model.spec.shape, device="meta")
    model.eval()
    with torch.no_grad():
        x = phase.encode(x) if phase.encode else x
    model.train()
    wanted = set(moved)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in wanted)
    ledger = Ledger(exempt={_key(t) for t in [*model.parameters(), *model.buffers(), x]})
    blocks = blocks_of(model, phase) if settings.recompute else []
    with ledger.watching(blocks):
        model(phase.name, turn, x, Noise(0, range(rows), "meta"))
    return _bytes([x]) + ledger.total()


@dataclass
class Ledger:
    """Keeps account of the tensors that are kept for a backward pass.

    Args:
        exempt: tensors that are there anyway, by `_key`.
    """

    exempt: set[int]
    outside: dict[int, Tensor] = field(default_factory=dict)
    inside: list[dict[int, Tensor]] = field(default_factory=list)
    handed: dict[int, Tensor] = field(default_factory=dict)
    open: bool = False

    @contextmanager
    def watching(self, blocks: Iterable[nn.Module]) -> Iterator[None]:
        """Count what is kept meanwhile; what lies inside of `blocks` is computed again later."""
        handles: list[RemovableHandle] = []
        for block in blocks:
            handles.append(block.register_forward_pre_hook(self._enter, with_kwargs=True))
            handles.append(block.register_forward_hook(self._leave))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def total(self) -> int:
        """Return the bytes kept: outside of blocks, handed to them, and in the largest one."""
        kept = {**self.outside, **self.handed}
        return _storages(kept) + max(map(_storages, self.inside), default=0)

    def _keep(self, tensor: Tensor) -> Tensor:
        if _key(tensor) not in self.exempt:
            (self.inside[-1] if self.open else self.outside)[_key(tensor)] = tensor
        return tensor

    def _enter(self, block: nn.Module, args: Any, kwargs: Any) -> None:
        self.inside.append({})
        self.open = True
        for value in [*args, *kwargs.values()]:
            for tensor in value if isinstance(value, list | tuple) else [value]:
                if isinstance(tensor, Tensor) and _key(tensor) not in self.exempt:
                    self.handed[_key(tensor)] = tensor

    def _leave(self, block: nn.Module, args: Any, output: Any) -> None:
        self.open = False


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _storages(tensors: dict[int, Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors.values())


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
