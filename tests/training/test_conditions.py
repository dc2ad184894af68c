"""What a training is told of its images, and what its saved state says of that."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, PhaseSettings, Turn
from memtk.training.devices import open_devices
from memtk.training.inference import sample
from memtk.training.job import TrainingOptions
from memtk.training.loop import train

IMAGES = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 1, 2, 2) / 10
CODES = torch.tensor([[0.0, 5.0], [1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0], [5.0, 0.0]])


class Settings(ComponentConfig):
    guidance: float = 1.0
    width: int = 1
    training: PhaseSettings = PhaseSettings(steps=4, batch_size=4, precision="float32")


class Listening(Generator):
    """Writes down what it is told of each image."""

    Config = Settings
    of_sampling = frozenset({"guidance"})
    encoded = False

    def __init__(self, config=None, spec=None):
        super().__init__(config or Settings(), spec or ImageSpec((2, 2)))
        self.weight = nn.Parameter(torch.zeros(1))
        self.heard = []

    def phases(self):
        turn = Turn("turn", self.parameters, self.loss, 0.01)
        encode = (lambda x: x.flatten(1)) if self.encoded else None
        return (Phase("phase", self.config.training, (turn,), encode=encode),)

    def loss(self, x, noise, condition=None):
        told = [None] * len(x) if condition is None else condition.tolist()
        pixels = x.flatten(1)[:, 0]
        self.heard += [(round(10 * float(v)), t) for v, t in zip(pixels, told, strict=True)]
        return {"square": (self.weight * pixels).square().mean() + self.weight.sum()}

    def sample(self, noise, condition=None):
        level = torch.zeros(len(noise)) if condition is None else condition[:, 0] / 10
        return level.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def trained(folder, model=None, codes=CODES, **options):
    model = model or Listening()
    images = MemoryImages(IMAGES, conditions=codes)
    given = TrainingOptions(**options)
    train(model, images, seed=0, folder=folder, devices=open_devices("cpu"), options=given)
    return model


@pytest.mark.parametrize("encoded", [False, True])
def test_each_image_comes_with_its_own_condition_in_any_order(tmp_path, encoded):
    model = Listening()
    model.encoded = encoded
    heard = trained(tmp_path, model).heard
    assert len(heard) == 16 and {image for image, _ in heard} == set(range(6))
    assert all(told == [image, 5 - image] for image, told in heard)


def test_micro_batches_of_a_step_keep_their_conditions(tmp_path):
    settings = Settings(training=PhaseSettings(steps=4, batch_size=4, accumulate=2))
    assert all(told == [i, 5 - i] for i, told in trained(tmp_path, Listening(settings)).heard)


def test_without_conditions_the_argument_is_left_out(tmp_path):
    assert {told for _, told in trained(tmp_path, codes=None).heard} == {None}


def test_a_sample_gets_the_condition_of_its_own_row_whatever_the_batch():
    for size in (1, 4, 6):
        given = {"seed": 0, "batch_size": size, "devices": open_devices("cpu")}
        made = torch.cat(list(sample(Listening(), CODES, **given)))
        assert torch.allclose(made[:, 0, 0, 0], CODES[:, 0] / 10)
    assert len(torch.cat(list(sample(Listening(), 3, **given)))) == 3


def test_a_training_does_not_go_on_with_other_conditions(tmp_path):
    trained(tmp_path)
    assert trained(tmp_path).heard == []  # finished
    with pytest.raises(UserError, match="belongs to another training: conditions was"):
        trained(tmp_path, codes=CODES.flip(0))
    with pytest.raises(UserError, match="belongs to another training: conditions was"):
        trained(tmp_path, codes=None)


def test_a_training_goes_on_with_another_setting_of_sampling_alone(tmp_path):
    trained(tmp_path)
    assert trained(tmp_path, Listening(Settings(guidance=4.0))).heard == []
    with pytest.raises(UserError, match="config.width was 1 and is now 2"):
        trained(tmp_path, Listening(Settings(width=2)))
