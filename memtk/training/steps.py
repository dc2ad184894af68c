"""One step of training: every turn of a phase once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from memtk.errors import PluginError
from memtk.interfaces import Phase, Trainable, Turn
from memtk.noise import Noise, derive
from memtk.training.blocks import Blocks
from memtk.training.devices import Devices
from memtk.training.optimisers import make_adam, moved_by, set_rate
from memtk.training.order import Part
from memtk.training.schedules import factor
from memtk.training.seeding import seeded


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
        seed: of the training.
        devices: that it runs on.
        dtype: to compute the losses in, None for float32.
        drops: steps done at which the rate falls; see `memtk.training.schedules`.
    """

    def __init__(
        self,
        model: Trainable,
        phase: Phase,
        seed: int,
        devices: Devices,
        dtype: torch.dtype | None,
        drops: Sequence[int] = (),
    ) -> None:
        self.model, self.phase, self.seed = model, phase, seed
        self.devices, self.dtype, self.drops = devices, dtype, drops
        decay = phase.settings.weight_decay
        self.moved = {turn.name: moved_by(model, phase, turn) for turn in phase.turns}
        self.optimisers = {t.name: make_adam(t, self.moved[t.name], decay) for t in phase.turns}
        self._blocks = Blocks(model, phase)
        self._frozen = [p for p in model.parameters() if not p.requires_grad]
        # DDP joins the gradients of what can move when it is made: all turns' parameters.
        self._only([p for parameters in self.moved.values() for p in parameters])
        self._joined = devices.distribute(model)

    def step(self, step: int, batch: Sequence[tuple[Part, Tensor]]) -> dict[str, float]:
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
        return values

    def _turn(
        self, turn: Turn, step: int, batch: Sequence[tuple[Part, Tensor]]
    ) -> dict[str, float]:
        settings, optimiser, moved = (
            self.phase.settings,
            self.optimisers[turn.name],
            self.moved[turn.name],
        )
        self._only(moved)
        optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for number, (part, x) in enumerate(batch):
            with self.devices.joined(self._joined, sync=number == len(batch) - 1):
                terms = self._loss(turn, part, x)
                total = torch.stack(list(terms.values())).sum()
                # DDP takes the mean over the processes: undo its 1 / world.
                (total * (part.weight * self.devices.world)).backward()
            for term, loss in terms.items():
                share = loss.detach() * part.weight
                sums[term] = sums[term] + share if term in sums else share
        norm = nn.utils.clip_grad_norm_(moved, settings.clip_norm or math.inf)
        found = self._values(sums, norm)
        for term, value in found.items():
            if not math.isfinite(value):
                raise NotFiniteError(turn.name, term, value)
        rate = factor(
            settings.schedule, step, settings.steps, self.drops, settings.gamma, settings.floor
        )
        set_rate(optimiser, turn.learning_rate * rate)
        optimiser.step()
        del found["gradient norm"]
        return found

    def _loss(self, turn: Turn, part: Part, x: Tensor) -> dict[str, Tensor]:
        phase, device = self.phase.name, self.devices.device
        noise = Noise(derive(self.seed, phase, turn.name, "noise"), part.samples, device)
        dropout = derive(self.seed, phase, turn.name, "dropout", part.samples[0])
        with seeded(dropout, device), self.devices.autocast(self.dtype):
            terms: Mapping[str, Tensor] = self._joined(phase, turn.name, x, noise)
        if not terms or any(value.numel() != 1 for value in terms.values()):
            shapes = {term: tuple(value.shape) for term, value in terms.items()}
            raise PluginError(
                f"{type(self.model).__name__}: the loss of turn {turn.name!r} of phase {phase!r} "
                f"must be scalars by name, not {shapes}"
            )
        return {term: value.float().reshape(()) for term, value in terms.items()}

    def _values(self, sums: Mapping[str, Tensor], norm: Tensor) -> dict[str, float]:
        """Add up over the processes; one transfer from the device for all numbers."""
        losses = self.devices.total(torch.stack(list(sums.values())))
        numbers = torch.cat([losses, norm.detach().float().reshape(1)]).tolist()
        return dict(zip([*sums, "gradient norm"], numbers, strict=True))

    def _only(self, parameters: Sequence[nn.Parameter]) -> None:
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
