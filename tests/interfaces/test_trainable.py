from __future__ import annotations

import pytest
import torch
from torch import nn

from memtk.interfaces import (
    ComponentConfig,
    Embedder,
    Generator,
    ImageSpec,
    Phase,
    PhaseSettings,
    Trainable,
    Turn,
)
from memtk.noise import Noise


class Two(Generator):
    """Two phases with a turn of one name: they must not be mixed up."""

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.net = nn.Linear(2, 2)

    def phases(self):
        settings = PhaseSettings(steps=1)
        turns = [
            (Turn("net", self.net.parameters, lambda x, noise, k=k: {"k": x.sum() * k}, 0.1),)
            for k in (1, 10)
        ]
        return Phase("first", settings, turns[0]), Phase("second", settings, turns[1])

    def sample(self, noise):
        return noise.normal(1, 2)


@pytest.fixture
def model():
    return Two(ComponentConfig(), ImageSpec((2,)))


def test_forward_is_the_loss_of_the_turn_that_is_named(model):
    x, noise = torch.ones(3), Noise(0, [0, 1, 2])
    assert model("first", "net", x, noise)["k"] == 3
    assert model("second", "net", x, noise)["k"] == 30


@pytest.mark.parametrize(("phase", "turn"), [("third", "net"), ("first", "critic")])
def test_a_turn_that_is_not_there_is_named(model, phase, turn):
    with pytest.raises(KeyError, match=f"Two has no turn '{turn}' in a phase '{phase}'"):
        model(phase, turn, torch.ones(1), Noise(0, [0]))


def test_a_model_keeps_its_config_and_the_shape_of_its_images(model):
    assert model.config == ComponentConfig() and model.spec.shape == (2,)
    assert "net.weight" in model.state_dict()


def test_a_generator_learns_from_training_images_unless_it_says_otherwise():
    assert Two.learns_from == "training" and Two.Config is ComponentConfig and not Two.presets


@pytest.mark.parametrize("cls", [Trainable, Generator, Embedder])
def test_what_lacks_its_methods_cannot_be_made(cls):
    with pytest.raises(TypeError, match="abstract"):
        cls(ComponentConfig(), ImageSpec((2, 2)))


def test_the_presets_of_all_components_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        Trainable.presets["smoke"] = {}
