from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from memtk.interfaces import Phase, Turn
from memtk.testing import Case, check_embedder, check_generator


def broken(base, change):
    """A generator whose phases are `change(model, phases)`."""

    class Broken(base):
        def phases(self):
            return change(self, super().phases())

    return Broken


def rephase(phase, **new):
    return Phase(**{**vars(phase), **new})


def returns(value):
    return lambda x, noise: value(x) if callable(value) else value


def with_loss(loss):
    def change(model, phases):
        first = phases[0]
        turns = (Turn("down", model.down.parameters, loss, 1e-2), *first.turns[1:])
        return (rephase(first, turns=turns), *phases[1:])

    return change


def twin_turns(model, phases):
    return (rephase(phases[0], turns=(phases[0].turns[0],) * 2), phases[1])


def none_moved(model, phases):
    empty = Turn("down", lambda: [], model.squeeze, 1e-2)
    return (rephase(phases[0], turns=(empty, phases[0].turns[1])), phases[1])


PHASES = {
    "turns": (twin_turns, "turns ['down', 'down'] are not unique"),
    "settings": (
        lambda m, p: (rephase(p[0], settings={"steps": 1}), p[1]),
        "its settings are a dict, not PhaseSettings",
    ),
    "none": (none_moved, "turn 'down' of phase 'first' moves no parameters"),
    "no terms": (
        with_loss(lambda x, noise: {}),
        "the loss of turn 'down' of phase 'first' must be a dict of scalar tensors by name",
    ),
    "bare": (with_loss(lambda x, noise: x.mean()), "by name, not a Tensor"),
    "vector": (
        lambda m, p: with_loss(lambda x, noise: {"l": m.encode(x)})(m, p),
        "the loss term 'l' of turn 'down' of phase 'first' has the shape (4, 2), not a scalar",
    ),
    "number": (with_loss(lambda x, noise: {"l": 1.0}), "is a float, not a tensor"),
    "constant": (with_loss(lambda x, noise: {"l": x.sum()}), "depends on no weight"),
    "encode": (
        lambda m, p: (p[0], rephase(p[1], encode=lambda x: m.encode(x)[:1])),
        "encode of phase 'second' makes 1 rows of 4 images",
    ),
}


@pytest.mark.parametrize("way", PHASES)
def test_unsound_phases_are_told(sound_generator, spec, complaint, way):
    change, sentence = PHASES[way]
    text = complaint(check_generator, broken(sound_generator, change), spec=spec)
    assert sentence in text


def test_a_frozen_part_need_not_be_moved(sound_generator, spec):
    class Frozen(sound_generator):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.extra = nn.Linear(2, 2).requires_grad_(False)

    check_generator(Frozen, spec=spec)


def test_a_last_layer_that_begins_as_zeros_passes(sound_generator, spec):
    class Zeros(sound_generator):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            nn.init.zeros_(self.up.weight)

    check_generator(Zeros, spec=spec)


def test_dropout_from_the_global_generator_is_the_core_s_business(sound_generator, spec):
    class Dropping(sound_generator):
        def squeeze(self, x, noise):
            kept = nn.functional.dropout(self.encode(x), 0.5, self.training)
            return {"size": kept.square().mean()}

    check_generator(Dropping, spec=spec)


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), lambda: random.random()])
def test_a_loss_that_draws_from_a_global_generator_is_told(sound_generator, spec, complaint, draw):
    class Drawing(sound_generator):
        def squeeze(self, x, noise):
            return {"size": super().squeeze(x, noise)["size"] + draw()}

    text = complaint(check_generator, Drawing, spec=spec)
    assert text.startswith("the loss of turn 'down' of 'first' draws from the global generator of")


def test_looking_for_randomness_in_a_loss_moves_no_buffer(sound_generator, spec):
    class Counting(sound_generator):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.register_buffer("seen", torch.tensor(0))

        def squeeze(self, x, noise):
            self.seen += 1
            return super().squeeze(x, noise)

    case = Case(Counting, spec=spec)
    steps = case.training.steps
    assert int(case.model.seen) == sum("'down'" in step.where for step in steps)
    assert [step.draws for step in steps if step.draws] == []


def test_what_is_drawn_in_the_constructor_and_kept_nowhere_is_told(sound_embedder, spec, complaint):
    class Projecting(sound_embedder):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.net.matrix = torch.randn(config.width)

        def embed(self, x):
            return super().embed(x) + self.net.matrix

    assert "'net.matrix' of Projecting is drawn at random" in complaint(
        check_embedder, Projecting, spec=spec
    )

    class Left(sound_embedder):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.register_buffer("matrix", torch.randn(config.width), persistent=False)

    assert "'matrix' of Left is drawn at random" in complaint(check_embedder, Left, spec=spec)

    class Hidden(Projecting):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            matrix = self.net.matrix
            self.shifted = lambda z: z + matrix
            del self.net.matrix

        def embed(self, x):
            return self.shifted(self.net(x.flatten(1)))

    assert "gives other embeddings after its checkpoint was loaded" in complaint(
        check_embedder, Hidden, spec=spec
    )
