"""One step of DP-SGD: each unit's gradient clipped by itself, then noise, by opacus's optimiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from memtk.errors import UserError
from memtk.interfaces import Phase, Trainable, Turn
from memtk.noise import derive
from memtk.training.batches import MicroBatch
from memtk.training.devices import Devices
from memtk.training.privacy import PrivateTraining
from memtk.training.steps import NotFiniteError, Stepper

AT_ONCE = 2**24
"""Numbers of the gradients that wait to be clipped together, at most: 64 MiB. One unit always."""


class PrivateStepper(Stepper):
    """Takes the steps of one phase by DP-SGD. Abadi et al., arXiv 1607.00133, algorithm 1.

    Each unit in the step (a patient with all images, or an image) goes through the model alone, and
    the gradient of its mean loss is clipped to `max_grad_norm`. Their sum, with noise N(0, (sigma
    max_grad_norm)^2) on every weight, divided by the expected number of units, is what Adam sees.
    The clipping, the noise and the scale are those of opacus's `DPOptimizer`. The phase's own
    `clip_norm` is not applied, and `accumulate` splits nothing: each unit is computed by itself.

    Opacus's hooks for the gradients of a whole batch are not used. In version 1.6.0 they gave wrong
    ones, without a word, for 2D convolutions in channels-last layout (measured: off by as much as
    the gradient itself), do not work where a network folds an axis into the batch, and were no
    faster than this on a CPU. A unit that goes through alone is right for any model.

    The noise of a step follows from a seed and the step's number, so that a training that was
    stopped goes on as it was. Where the seed is secret it is drawn from the operating system and
    thrown away with the end of the training. torch's generators are no cryptographic ones.

    Args:
        private: what the training goes by.
    """

    def __init__(
        self,
        model: Trainable,
        phase: Phase,
        seed: int,
        devices: Devices,
        dtype: torch.dtype | None,
        milestones: Sequence[int],
        private: PrivateTraining,
    ) -> None:
        from opacus.optimizers import DPOptimizer

        super().__init__(model, phase, seed, devices, dtype, milestones)
        self._private = private
        self._generator = torch.Generator(devices.device)
        self._noisy: Any = DPOptimizer(
            self.optimisers[phase.turns[0].name],
            noise_multiplier=private.budget.noise_multiplier,
            max_grad_norm=private.settings.max_grad_norm,
            expected_batch_size=private.rate(phase.name) * len(private.budget.units),
            generator=self._generator,
        )
        weights = sum(p.numel() for p in self.trained[phase.turns[0].name])
        self._most = max(1, AT_ONCE // weights)
        self._buffers = {name: b.detach().clone() for name, b in model.named_buffers()}

    def _turn(
        self, turn: Turn, step: int, batch: Sequence[tuple[MicroBatch, Tensor]]
    ) -> dict[str, float]:
        noisy, parameters = self._noisy, self.trained[turn.name]
        self._only(parameters)
        noisy.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        waiting: list[tuple[Tensor | None, ...]] = []
        for part, x in batch:
            terms = self._loss(turn, part, x)
            total = torch.stack(list(terms.values())).sum()
            waiting.append(torch.autograd.grad(total, parameters, allow_unused=True))
            if len(waiting) == self._most:
                self._clip(parameters, waiting)
            self._add(sums, terms, part)
        self._clip(parameters, waiting)
        self._check_finite(turn, sums)
        for parameter in parameters:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))  # type: ignore[attr-defined]
        self._generator.manual_seed(derive(self._private.seed, self.phase.name, "noise", step))
        noisy.signal_skip_step(False)
        noisy.pre_step()
        for parameter in parameters:  # a fused Adam wants the layout of the weights
            assert parameter.grad is not None
            parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
        self._move(turn, step)
        self._check_buffers()
        return {term: float(value) for term, value in sums.items()}

    def _clip(
        self, parameters: Sequence[nn.Parameter], waiting: list[tuple[Tensor | None, ...]]
    ) -> None:
        """Clip the gradients of units that wait and add them up; the noise comes at the end."""
        if not waiting:
            return
        for number, parameter in enumerate(parameters):
            found = [unit[number] for unit in waiting]
            zero = torch.zeros_like(parameter)
            stacked = torch.stack([zero if g is None else g for g in found])  # (units, *shape)
            parameter.grad_sample = stacked  # type: ignore[attr-defined]
        waiting.clear()
        self._noisy.signal_skip_step(True)
        self._noisy.step()
        self._noisy.zero_grad(set_to_none=True)

    def _check_finite(self, turn: Turn, sums: dict[str, Tensor]) -> None:
        """Refuse what clipping would carry into the weights."""
        for term, value in sums.items():
            if not math.isfinite(float(value)):
                raise NotFiniteError(turn.name, term, float(value))
        summed = [p.summed_grad for p in self.trained[turn.name] if p.summed_grad is not None]  # type: ignore[attr-defined]
        if summed:
            norm = float(torch.stack([g.norm() for g in summed]).norm())
            if not math.isfinite(norm):
                raise NotFiniteError(turn.name, "gradient norm", norm)

    def _check_buffers(self) -> None:
        """See that nothing is learnt of the images but by gradients.

        Raises:
            UserError: naming the buffer that has moved.
        """
        for name, buffer in self.model.named_buffers():
            if not torch.equal(buffer, self._buffers[name]):
                raise UserError(
                    f"dp-sgd cannot train phase {self.phase.name!r}: it changes the buffer {name!r}"
                    " as it goes, which no noise hides and no epsilon covers.\n"
                    "Choose another generator."
                )

    def close(self) -> None:
        """Leave the model as it was found, but for its weights."""
        super().close()
        for parameter in self.model.parameters():
            for name in ("grad_sample", "summed_grad"):
                if hasattr(parameter, name):
                    delattr(parameter, name)
