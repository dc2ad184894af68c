"""Generators whose phases, losses or checkpoints are wrong."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from memtk.interfaces import Phase, Turn
from memtk.testing import Case


def cases(sound, folder):
    def phases(change):
        class Broken(sound.generator):
            def phases(self):
                return change(self, *super().phases())

        return Case(Broken, spec=sound.spec)

    def first_turn(**changes):
        def change(model, first, second):
            made = {name: value(model) for name, value in changes.items()}
            return replace(first, turns=(replace(first.turns[0], **made), first.turns[1])), second

        return phases(change)

    def meddling(model):
        def loss(x, noise):
            with torch.no_grad():
                model.up.weight.add_(1)
            return model.squeeze(x, noise)

        return loss

    def two_movers(model, first, second):
        critic = Turn("critic", model.down.parameters, model.squeeze, 1e-2)
        return replace(first, turns=(first.turns[0], critic)), second

    def centred(model, first, second):
        def encode(x):
            z = model.encode(x)
            return z - z.mean(0)

        return first, replace(second, encode=encode)

    class Unseeded(sound.generator):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.spread.fill_(np.random.default_rng().random())

    class Tabled(sound.generator):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.tables = {"shift": [torch.randn(config.width)]}

    class Growing(sound.generator):
        def measure(self, batches):
            super().measure(batches)
            self.register_buffer("extra", torch.zeros(1))

    class Counting(sound.generator):
        seen = 0

        def squeeze(self, x, noise):
            self.seen += 1
            return {"size": super().squeeze(x, noise)["size"] * self.seen}

    return {
        "construction_is_reproducible": Case(Unseeded, spec=sound.spec),
        "random_tensors_are_parameters_or_buffers": Case(Tabled, spec=sound.spec),
        "phases_and_turns_have_names_of_their_own": phases(
            lambda model, first, second: (first, replace(second, name="first"))
        ),
        "phases_say_what_they_do": phases(
            lambda model, *known: (*known, Phase("third", model.config.training))
        ),
        "turns_move_parameters_of_the_model": first_turn(
            parameters=lambda model: nn.Linear(2, 2).parameters
        ),
        "no_weight_has_two_turns": phases(two_movers),
        "every_weight_is_moved_or_frozen": phases(lambda model, first, second: (first,)),
        "losses_are_finite_scalars": first_turn(
            loss=lambda model: lambda x, noise: {"l": model.encode(x).sum() * torch.nan}
        ),
        "losses_draw_from_their_noise_alone": first_turn(
            loss=lambda model: lambda x, noise: {"l": model.encode(x + torch.rand(1)).mean()}
        ),
        "turns_reach_all_their_weights": first_turn(
            loss=lambda model: lambda x, noise: {"l": model.down.weight.sum()}
        ),
        "turns_move_their_weights": first_turn(learning_rate=lambda model: 0.0),
        "turns_leave_other_weights_alone": first_turn(loss=meddling),
        "batch_size_does_not_change_encodings": phases(centred),
        "checkpoints_load_into_a_fresh_instance": Case(Growing, spec=sound.spec),
        "stopping_and_resuming_changes_nothing": Case(Counting, spec=sound.spec),
    }
