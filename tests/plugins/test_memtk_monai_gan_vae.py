from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.job import TrainingOptions
from memtk.training.loop import train
from memtk_monai.gan import MonaiGan2d, MonaiGan3d
from memtk_monai.vae import MonaiVae2d, MonaiVae3d

MODELS = (MonaiGan2d, MonaiGan3d, MonaiVae2d, MonaiVae3d)


def make(cls, shape, *layers, channels=1):
    torch.manual_seed(0)
    config = build(cls.Config, cls.presets["smoke"], *layers)
    return cls(config, ImageSpec(shape, channels)).eval()


def images(shape, count=4, channels=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, channels, *shape), generator=generator) * 2 - 1


@pytest.mark.parametrize("cls", MODELS)
@pytest.mark.parametrize("preset", ["demo", None])
def test_every_size_makes_images_of_colour_and_of_unequal_sides(cls, preset):
    dims = 2 if "2d" in cls.__name__ else 3
    spec = ImageSpec((32, 48, 16)[:dims], 3)
    model = cls(build(cls.Config, cls.presets[preset] if preset else {}), spec).eval()
    with torch.no_grad():
        assert model.sample(Noise(0, [0])).shape == (1, 3, *spec.shape)


@pytest.mark.parametrize("cls", MODELS)
def test_a_shape_that_does_not_fit_is_refused_with_the_nearest_that_does(cls):
    dims = 2 if "2d" in cls.__name__ else 3
    name = f"{cls.__name__[5:8].lower()}{dims}d"
    with pytest.raises(UserError, match=f"{name} cannot take .* multiple of 8.\n.* takes is 16x8"):
        make(cls, (13, 9, 8)[:dims])


def test_the_bound_is_that_of_torch_distributions():
    model = make(MonaiVae2d, (16, 16))
    torch.nn.init.constant_(model.log_spread, -0.7)
    x, normal = images((16, 16)), torch.distributions.Normal
    with torch.no_grad():
        found = sum(model._bound(x, Noise(0, range(4))).values()) * 256
        mean, sigma = model.encode(x)
        y = model.decode(mean + sigma * Noise(0, range(4)).normal(model.config.latent))
        likely = normal(y, model.log_spread.exp()).log_prob(x).flatten(1).sum(1)
        far = torch.distributions.kl_divergence(normal(mean, sigma), normal(0.0, 1.0)).sum(1)
    constant = 128 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(found + constant, (far - likely).mean())


def test_the_losses_of_a_gan_are_those_of_the_papers():
    model = make(MonaiGan2d, (16, 16), {"shift": 0, "slope_weight": 3.0})
    x, judge = images((16, 16)), model._judge
    with torch.no_grad():
        y = model.sample(Noise(0, range(4)))
        fooling = model._fooling(x, Noise(0, range(4)))["adversarial"]
        torch.testing.assert_close(fooling, -torch.log(torch.sigmoid(judge(y))).mean())
        terms = model._telling_apart(x, Noise(0, range(4)))
        apart = F.binary_cross_entropy_with_logits
        expected = apart(judge(x), torch.ones(4, 1)) + apart(judge(y), torch.zeros(4, 1))
        torch.testing.assert_close(terms["discriminator"], expected)
    slopes = torch.func.vmap(torch.func.grad(lambda row: judge(row[None])[0, 0]))(x)
    expected = 1.5 * slopes.square().flatten(1).sum(1).mean()
    torch.testing.assert_close(terms["slope"], expected, rtol=1e-4, atol=1e-6)
    assert "slope" not in make(MonaiGan2d, (16, 16), {"slope_weight": 0})._telling_apart(
        x, Noise(0, range(4))
    )


def test_a_moved_image_is_one_of_all_places_and_each_row_has_its_own():
    model = make(MonaiGan2d, (16, 8), {"shift": 0.25})
    x = images((16, 8), 40)
    moved = model._moved(x, Noise(0, range(40)))
    wide = F.pad(x, (2, 2, 4, 4), mode="replicate")
    places = set()
    for row, found in zip(wide, moved, strict=True):
        fits = [
            (a, b) for a in range(9) for b in range(5)
            if torch.equal(row[:, a : a + 16, b : b + 8], found)
        ]  # fmt: skip
        assert len(fits) == 1
        places.update(fits)
    assert {a for a, _ in places} == set(range(9)) and {b for _, b in places} == set(range(5))
    torch.testing.assert_close(model._moved(x[7:8], Noise(0, [7]))[0], moved[7])


def test_the_discriminator_learns_nothing_for_the_generator_nor_the_other_way_round():
    model = make(MonaiGan3d, (8, 8, 8)).train()
    for turn, own, other in (
        ("generator", model.generator, model.discriminator),
        ("discriminator", model.discriminator, model.generator),
    ):
        model.zero_grad()
        for network in (own, other):
            network.requires_grad_(network is own)
        terms = model("training", turn, images((8, 8, 8)), Noise(0, range(4)))
        torch.stack(list(terms.values())).sum().backward()
        assert all(p.grad is not None for p in own.parameters())
        assert all(p.grad is None for p in other.parameters())


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    config = build(DataConfig, {"source": "phantom2d", "phantom": {"size": 16, "training": 32}})
    return prepare(config, tmp_path_factory.mktemp("data"), open_registry()).split("training")


@pytest.mark.parametrize("cls", [MonaiGan2d, MonaiVae2d])
def test_a_short_training_brings_samples_nearer_to_the_images(cls, phantoms, tmp_path):
    x = phantoms.read(range(len(phantoms)))
    asked = {"patch": 2, "training": {"steps": 150, "batch_size": 16}}
    model = make(cls, (16, 16), asked)

    def far():
        with torch.no_grad():
            y = model.sample(Noise(1, range(32)))
        return float((y.mean(0) - x.mean(0)).abs().mean() + (y.std(0) - x.std(0)).abs().mean())

    before = far()
    train(
        model, phantoms, seed=0, folder=tmp_path, devices=open_devices("cpu"),
        options=TrainingOptions(save_every=0),
    )  # fmt: skip
    model.eval()
    assert far() < 0.5 * before
