"""One step of training: every turn of a phase once, by Adam, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW
from torch.optim.swa_utils import get_ema_multi_avg_fn

from memtk.errors import PluginError
from memtk.interfaces import Phase, Trainable, Turn
from memtk.noise import Noise, derive, seeded
from memtk.training.batches import MicroBatch
from memtk.training.devices import Blocks, Devices

START = 1 / 25
"""One-cycle: the first factor."""
END = 1 / 25e4
"""One-cycle: the last factor."""
RISE = 0.3
"""One-cycle: the part of the steps on which the rate rises."""


class NotFiniteError(Exception):
    """A loss term or the gradient of a turn is infinite or not a number."""

    def __init__(self, turn: str, term: str, value: float) -> None:
        super().__init__(turn, term, value)
        self.turn, self.term, self.value = turn, term, value


class Stepper:
    """Takes the steps of one phase: alternating turns, one Adam each.

    A step depends on the seed, the step's number and the weights alone. With losses that are
    means over rows, or with `Phase.whole_batch`, it is the same whatever the number of processes
    and micro-batches. Only what torch's global generator gives (dropout) is drawn anew for each
    micro-batch.

    Args:
        model: on its device.
        phase: of that model, with one turn at least.
        dtype: to compute the losses in, None for float32.
        milestones: steps done at which the learning rate falls; see `milestone_steps`.

    Attributes:
        optimisers: Adam of each turn, by the turn's name.
        ema: the average of the first turn's weights, None without `PhaseSettings.ema_decay`.
    """

    def __init__(
        self,
        model: Trainable,
        phase: Phase,
        seed: int,
        devices: Devices,
        dtype: torch.dtype | None,
        milestones: Sequence[int] = (),
    ) -> None:
        self.model, self.phase, self.seed = model, phase, seed
        self.devices, self.dtype, self.milestones = devices, dtype, milestones
        decay = phase.settings.weight_decay
        self.trained = {turn.name: trained_parameters(model, phase, turn) for turn in phase.turns}
        self.optimisers = {t.name: make_adam(t, self.trained[t.name], decay) for t in phase.turns}
        averaged = phase.settings.ema_decay
        self.ema = EMA(self.trained[phase.turns[0].name], averaged) if averaged else None
        self._blocks = Blocks(model, phase)
        self._frozen = [p for p in model.parameters() if not p.requires_grad]
        # DDP joins the gradients of what can move when it is made: all turns' parameters.
        self._only([p for parameters in self.trained.values() for p in parameters])
        self._joined = devices.distribute(model)

    def step(self, step: int, batch: Sequence[tuple[MicroBatch, Tensor]]) -> dict[str, float]:
        """Take step number `step` (from 0) on this process's micro-batches; return the losses.

        The losses are means over the rows of all processes, by "term", or by "turn.term" where
        there are several turns.

        Raises:
            NotFiniteError: in all processes, before the turn's weights are moved.
        """
        values: dict[str, float] = {}
        for turn in self.phase.turns:
            for term, value in self._turn(turn, step, batch).items():
                values[f"{turn.name}.{term}" if len(self.phase.turns) > 1 else term] = value
        if self.ema and (step + 1) % self.phase.settings.ema_every == 0:
            self.ema.update()
        return values

    def _turn(
        self, turn: Turn, step: int, batch: Sequence[tuple[MicroBatch, Tensor]]
    ) -> dict[str, float]:
        """Backward through every micro-batch, clip, check, and move the turn's weights."""
        parameters = self.trained[turn.name]
        self._only(parameters)
        self.optimisers[turn.name].zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for number, (part, x) in enumerate(batch):
            with self.devices.joined(self._joined, sync=number == len(batch) - 1):
                terms = self._loss(turn, part, x)
                total = torch.stack(list(terms.values())).sum()
                # DDP takes the mean over the processes: undo its 1 / world.
                (total * (part.weight * self.devices.world)).backward()
            self._add(sums, terms, part)
        norm = nn.utils.clip_grad_norm_(parameters, self.phase.settings.clip_norm or math.inf)
        found = self._values(sums, norm)
        for term, value in found.items():
            if not math.isfinite(value):
                raise NotFiniteError(turn.name, term, value)
        self._move(turn, step)
        del found["gradient norm"]
        return found

    def _loss(self, turn: Turn, part: MicroBatch, x: Tensor) -> dict[str, Tensor]:
        """Return the loss terms of a micro-batch; the forward pass."""
        phase, device = self.phase.name, self.devices.device
        noise = Noise(derive(self.seed, phase, turn.name, "noise"), part.samples, device)
        dropout = derive(self.seed, phase, turn.name, "dropout", part.samples[0])
        with seeded(dropout, device), self.devices.autocast(self.dtype):
            terms = self._joined(phase, turn.name, x, noise, part.condition)
        if wrong := loss_fault(terms, f"turn {turn.name!r} of phase {phase!r}"):
            raise PluginError(f"{type(self.model).__name__}: {wrong}")
        return {term: value.float().reshape(()) for term, value in terms.items()}

    def _add(self, sums: dict[str, Tensor], terms: Mapping[str, Tensor], part: MicroBatch) -> None:
        """Add the weighted loss terms of a micro-batch to those of the step."""
        for term, loss in terms.items():
            share = loss.detach() * part.weight
            sums[term] = sums[term] + share if term in sums else share

    def _values(self, sums: Mapping[str, Tensor], norm: Tensor) -> dict[str, float]:
        """Add up over the processes; one transfer from the device for all numbers."""
        losses = self.devices.total(torch.stack(list(sums.values())))
        numbers = torch.cat([losses, norm.detach().float().reshape(1)]).tolist()
        return dict(zip([*sums, "gradient norm"], numbers, strict=True))

    def _move(self, turn: Turn, step: int) -> None:
        """Move the turn's weights along their gradients, at the learning rate of the step."""
        s, optimiser = self.phase.settings, self.optimisers[turn.name]
        factor = lr_factor(s.schedule, step, s.steps, self.milestones, s.gamma, s.floor)
        for group in optimiser.param_groups:
            group["lr"] = turn.learning_rate * factor
        optimiser.step()

    def _only(self, parameters: Sequence[nn.Parameter]) -> None:
        """Let gradients flow to `parameters` and to no others."""
        wanted = set(parameters)
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter in wanted)

    def close(self) -> None:
        """Leave the model as it was found, but for its weights."""
        self._blocks.close()
        self.devices.release()
        frozen = set(self._frozen)
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter not in frozen)
            parameter.grad = None


def loss_fault(terms: Any, where: str) -> str:
    """Return what is wrong with the form of what a loss gave, an empty string if nothing."""
    if not isinstance(terms, Mapping) or not terms:
        what = "an empty one" if isinstance(terms, Mapping) else f"a {type(terms).__name__}"
        return f"the loss of {where} must be a dict of scalar tensors by name, not {what}"
    for name, value in terms.items():
        what = f"the loss term {name!r} of {where}"
        if not isinstance(value, Tensor):
            return f"{what} is a {type(value).__name__}, not a tensor"
        if value.numel() != 1:
            return f"{what} has the shape {tuple(value.shape)}, not a scalar"
    return ""


def trained_parameters(model: Trainable, phase: Phase, turn: Turn) -> list[nn.Parameter]:
    """Return the parameters that a turn trains, each once.

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


def lr_factor(
    schedule: str,
    step: int,
    steps: int,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
    floor: float = 0.0,
) -> float:
    """Return what the learning rate of a turn is multiplied with at `step` of `steps`, in [0, 1].

    - constant: 1
    - cosine: from 1 along half a cosine towards `floor`, which step = steps would reach; with
      floor 0, (1 + cos(pi step / steps)) / 2. Loshchilov and Hutter, arXiv 1608.03983.
    - one-cycle: from 1/25 to 1 on the first 30% of the steps, then to 4e-6 at the last one, both
      along half a cosine. Smith and Topin, arXiv 1708.07120. Adam's betas stay as they are.
    - milestones: gamma^k from the k-th of `milestones` on, which are numbers of steps done.

    Raises:
        ValueError: if there is no such schedule.

    >>> [round(lr_factor("cosine", step, 4), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _half_cosine(1.0, floor, step / steps)
    if schedule == "one-cycle":
        peak = max(RISE * steps - 1, 0.0)
        if step < peak:
            return _half_cosine(START, 1.0, step / peak)
        fall = steps - 1 - peak
        return _half_cosine(1.0, END, (step - peak) / fall if fall > 0 else 0.0)
    if schedule == "milestones":
        return gamma ** sum(step >= milestone for milestone in milestones)
    raise ValueError(f"no schedule {schedule!r}")


def milestone_steps(phase: Phase, count: int) -> tuple[int, ...]:
    """Return the milestones of a phase in steps, for a training set of `count` images.

    An epoch is the steps that a loader takes which ends each epoch with a smaller batch, N /
    batch_size rounded up; where the batch is whole, what such a phase takes: rounded down.
    """
    settings = phase.settings
    if settings.milestone_unit == "steps":
        return settings.milestones
    size = min(settings.batch_size, count) if phase.whole_batch else settings.batch_size
    epoch = count // size if phase.whole_batch else -(-count // size)
    return tuple(epoch * milestone for milestone in settings.milestones)


def _half_cosine(start: float, end: float, part: float) -> float:
    """Return the value from `start` (part = 0) to `end` (part = 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


class EMA:
    """Exponential moving average: a <- d a + (1 - d) w, with d = min(decay, (1 + n) / (10 + n)).

    n counts the updates, so that the first weights, which are random, are soon forgotten.
    `diffusers.training_utils.EMAModel` has d = 0 at n = 0, rounds otherwise and copies what a turn
    does not train: a training that an earlier memtk began would not go on to the same bits.

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
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        saved: list[Tensor] = state["weights"]
        self.updates = int(state["updates"])
        for weight, other in zip(self.weights, saved, strict=True):
            weight.copy_(other)
