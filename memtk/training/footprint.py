"""What a training will take, told beforehand: steps, parameters, memory and time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from memtk.interfaces import Phase, Trainable
from memtk.noise import Noise
from memtk.training.batches import micro_batches, whole_batch
from memtk.training.checkpoints import steps_of
from memtk.training.devices import Devices, blocks_of, check_settings
from memtk.training.steps import Stepper, trained_parameters


@dataclass(frozen=True)
class PhasePlan:
    """What one phase will take.

    Args:
        steps: optimiser steps; 0 where it only looks at the data.
        parameters: how many its turns train, by turn.
    """

    phase: str
    steps: int
    batch_size: int
    parameters: dict[str, int]


def describe(model: Trainable) -> list[PhasePlan]:
    """Return the phases of `model` in the order they would be trained.

    Raises:
        UserError: if a setting asks for what the model cannot do.
    """
    plans = []
    for phase in model.phases():
        check_settings(model, phase)
        trained = {turn.name: trained_parameters(model, phase, turn) for turn in phase.turns}
        numbers = {turn: sum(p.numel() for p in own) for turn, own in trained.items()}
        plans.append(PhasePlan(phase.name, steps_of(phase), phase.settings.batch_size, numbers))
    return plans


def peak_memory(model: Trainable, phase: Phase, world: int = 1) -> int | None:
    """Return the bytes that a process needs at the peak of a step; None where it cannot be told.

    Added up: all weights and buffers; of what the phase moves, gradients, both of Adam's moments
    and the average; the batch; and what the forward pass of the costliest turn keeps for the
    backward pass, found by running it on the meta device in float32 (bfloat16 keeps up to half
    less). Left out: what single operations need for themselves, and what torch and the images take
    before training begins.

    Args:
        model: on the meta device (`model.to("meta")`).
        world: processes that share a batch.
    """
    weights = [*model.parameters(), *model.buffers()]
    if not all(tensor.is_meta for tensor in weights):
        raise ValueError("peak_memory takes a model on the meta device")
    trained = {turn.name: trained_parameters(model, phase, turn) for turn in phase.turns}
    fixed = _bytes(weights) + 3 * sum(map(_bytes, trained.values()))
    if phase.settings.ema_decay and trained:
        fixed += _bytes(next(iter(trained.values())))
    was = [p.requires_grad for p in model.parameters()]
    try:
        kept = [_kept(model, phase, own, turn, world) for turn, own in trained.items()]
    except Exception:  # a plugin's loss may not work on the meta device; then nobody can tell
        return None
    finally:
        for parameter, flag in zip(model.parameters(), was, strict=True):
            parameter.requires_grad_(flag)
    return fixed + max(kept, default=0)


def step_seconds(model: Trainable, phase: Phase, devices: Devices) -> float | None:
    """Return how long a step of a phase takes here; None where that cannot be told.

    Two steps are taken as a training takes them, on noise in place of images, and the second one is
    timed. Left out are reading the images, and what is encoded once before the phase.

    Args:
        model: its weights are moved.
        phase: of that model, with a turn.
    """
    settings, spec = phase.settings, model.spec
    try:
        model.to(devices.device).eval()
        stepper = Stepper(model, phase, 0, devices, devices.precision(settings.precision))
        try:
            for step in range(2):
                split = micro_batches(step, settings.batch_size, settings.accumulate, 0, 1)
                if phase.whole_batch:
                    split = whole_batch(step, settings.batch_size, 1, 2 * settings.batch_size)
                batch = []
                for part in split:
                    rows = len(part.samples)
                    shape = (rows, spec.channels, *(settings.crop or spec.shape))
                    x = torch.rand(shape, device=devices.device) * 2 - 1
                    with torch.no_grad():
                        x = phase.encode(x) if phase.encode else x
                    told = torch.zeros(rows, len(spec.conditions), device=devices.device)
                    batch.append((replace(part, condition=told if spec.conditions else None), x))
                model.train()
                begun = time.perf_counter()
                stepper.step(step, batch)
            return time.perf_counter() - begun
        finally:
            stepper.close()
    except Exception:  # of a plugin's loss, which noise may not suit
        return None


def _kept(
    model: Trainable, phase: Phase, trained: list[nn.Parameter], turn: str, world: int
) -> int:
    """Return the bytes of a batch and of what one turn keeps of it."""
    settings = phase.settings
    split = micro_batches(0, settings.batch_size, settings.accumulate, 0, world)
    rows = settings.batch_size if phase.whole_batch else max(len(p.samples) for p in split)
    sides = settings.crop or model.spec.shape
    x = torch.empty(rows, model.spec.channels, *sides, device="meta")
    model.eval()
    with torch.no_grad():
        x = phase.encode(x) if phase.encode else x
    model.train()
    wanted = set(trained)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in wanted)
    saved = SavedTensors(exempt={_key(t) for t in [*model.parameters(), *model.buffers(), x]})
    blocks = blocks_of(model, phase) if settings.recompute else []
    told = torch.zeros(rows, len(model.spec.conditions), device="meta")
    with saved.watching(blocks):
        noise = Noise(0, range(rows), "meta")
        model(phase.name, turn, x, noise, told if model.spec.conditions else None)
    return _bytes([x]) + saved.total()


@dataclass
class SavedTensors:
    """Counts what a forward pass saves for the backward pass, but what is `exempt`."""

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
