"""Membership attacks on generators whose truth is known."""

import numpy as np
import pytest
import torch
from torch import nn

from memtk.data.images import MemoryImages
from memtk.errors import PluginError, UserError
from memtk.interfaces import ComponentConfig, Diffusion, Generator, ImageSpec, Target
from memtk.memorization import auc, scores_of
from memtk.noise import Noise, seeded
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.inference import scorer

SPEC = ImageSpec((6, 6))
T, N, V = 50, 24, 40


def pictures(seed, count):
    return torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Tiny(Generator):
    """A diffusion model of 36 pixels: a network of three layers that predicts the noise."""

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.net = nn.Sequential(
            nn.Linear(37, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 36)
        )
        kept = torch.cos(torch.linspace(0.05, 1.5, T)) ** 2
        self.register_buffer("kept", kept)

    def phases(self):
        return ()

    def sample(self, noise):
        return noise.normal(1, 6, 6).clamp(-1, 1)

    def predict(self, z, t):
        told = torch.cat([z.flatten(1), t[:, None] / T], 1)
        return self.net(told).reshape(z.shape)

    def diffusion(self):
        return Diffusion(self.kept, lambda x: x, self.predict)

    def denoising_loss(self, x, t, noise):
        eps = noise.normal(1, 6, 6)
        z = self.diffusion().noised(x, eps, t)
        return (self.predict(z, t) - eps).square().flatten(1).mean(1)


@pytest.fixture(scope="module")
def overfitted():
    """Trained on 24 images until it knows them."""
    with seeded(0):
        model, x = Tiny(ComponentConfig(), SPEC), pictures(0, N)
        adam = torch.optim.Adam(model.parameters(), 2e-3)
        for _ in range(900):
            t, eps = torch.randint(T, (N,)), torch.randn_like(x)
            loss = (model.predict(model.diffusion().noised(x, eps, t), t) - eps).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return model


def attack(name, model, images, batch_size=16, synthetic=None, **settings):
    cls = open_registry().load("attack", name)
    asked = {k: settings.pop(k) for k in ("embed", "similarity", "strangers") if k in settings}
    each = scorer(model, seed=3, batch_size=batch_size, devices=open_devices("cpu"))
    fake = MemoryImages(pictures(0, N) if synthetic is None else synthetic)
    target = Target(model, fake, each, **asked)
    made = cls(cls.Config(**settings))
    assert made.describe(target)
    return made.score(target, MemoryImages(images))


def area(scores):
    return auc(scores_of(scores[:N]), scores_of(scores[N:]))


@pytest.mark.parametrize("name", ["denoising-loss", "secmi", "pia"])
def test_what_an_overfitted_diffusion_model_knows_is_found(overfitted, name):
    images = torch.cat([pictures(0, N), pictures(1, V)])
    found = area(attack(name, overfitted, images))
    assert found.estimate > 0.8 and found.low > 0.5, found


@pytest.mark.parametrize("name", ["denoising-loss", "secmi", "pia"])
def test_of_a_model_that_learnt_nothing_chance_is_found(name):
    with seeded(1):
        fresh = Tiny(ComponentConfig(), SPEC)
    found = area(attack(name, fresh, torch.cat([pictures(0, N), pictures(1, V)])))
    assert found.low < 0.5 < found.high, found


@pytest.mark.parametrize("name", ["denoising-loss", "secmi", "pia"])
def test_a_score_is_of_its_image_whatever_the_batch_and_the_same_again(overfitted, name):
    images = pictures(5, 11)
    whole = attack(name, overfitted, images)
    assert whole.shape == (11,) and whole.dtype == np.float64
    assert np.allclose(whole, attack(name, overfitted, images, batch_size=3), rtol=1e-4)
    assert np.array_equal(whole, attack(name, overfitted, images))
    assert np.allclose(whole[:4], attack(name, overfitted, images[:4]), rtol=1e-4)


def test_gan_leaks_finds_copies_and_nothing_else(overfitted):
    images = torch.cat([pictures(0, N), pictures(1, V)])
    assert area(attack("gan-leaks", overfitted, images, space="image")).estimate == 1
    none = area(attack("gan-leaks", overfitted, images, space="image", synthetic=pictures(9, 30)))
    assert none.low < 0.5 < none.high


def test_gan_leaks_in_image_space_is_the_nearest_root_mean_square(overfitted):
    images, fake = pictures(1, 7), pictures(2, 9)
    found = attack("gan-leaks", overfitted, images, space="image", synthetic=fake)
    squares = (images.flatten(1)[:, None] - fake.flatten(1)[None]).double().square().mean(2)
    assert np.allclose(found, -squares.sqrt().min(1).values.numpy(), atol=1e-6)


def test_gan_leaks_calibrates_by_strangers(overfitted):
    images, fake, strangers = pictures(1, 7), pictures(2, 9), pictures(4, 8)
    plain = [
        attack("gan-leaks", overfitted, images, space="image", synthetic=s)
        for s in (fake, strangers)
    ]
    found = attack(
        "gan-leaks",
        overfitted,
        images,
        space="image",
        synthetic=fake,
        calibrate=True,
        strangers=MemoryImages(strangers),
    )
    assert np.allclose(found, plain[0] - plain[1])
    with pytest.raises(UserError, match="held-out patients"):
        attack("gan-leaks", overfitted, images, space="image", calibrate=True)


def test_gan_leaks_goes_by_the_embedding_where_there_is_one(overfitted):
    images, fake = pictures(1, 7), pictures(2, 9)

    def embed(x):
        return x.read(range(len(x))).flatten(1).numpy()[:, :5]

    similarity = open_registry().load("similarity", "cosine")()
    found = attack(
        "gan-leaks", overfitted, images, synthetic=fake, embed=embed, similarity=similarity
    )
    q, r = (embed(MemoryImages(x)) for x in (images, fake))
    q, r = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, r))
    assert np.allclose(found, (q @ r.T).max(1), atol=1e-5)
    with pytest.raises(UserError, match="without an embedder"):
        attack("gan-leaks", overfitted, images, space="embedding")


def test_secmi_is_the_error_of_one_step_forth_and_back(overfitted):
    """Written out for a network that finds the same noise everywhere: no error at all."""
    from memtk_attacks.denoising import steps_to

    class Constant(Tiny):
        def predict(self, z, t):
            return torch.full_like(z, 0.3)

    scores = attack("secmi", Constant(ComponentConfig(), SPEC), pictures(1, 5))
    assert np.allclose(scores, 0, atol=1e-10)
    assert steps_to(0.1, 10, 1000) == [*range(0, 101, 10), 110]
    assert steps_to(0.99, 3, 4) == [0, 1, 2, 3]


def test_pia_looks_at_a_scaled_probe_if_asked(overfitted):
    images = pictures(1, 6)
    plain = attack("pia", overfitted, images)
    scaled = attack("pia", overfitted, images, normalise=True)
    assert not np.allclose(plain, scaled)
    assert area(attack("pia", overfitted, torch.cat([pictures(0, N), pictures(1, V)]), power=2))


def test_an_attack_that_gives_no_score_an_image_is_told(overfitted):
    each = scorer(overfitted, seed=0, batch_size=4, devices=open_devices("cpu"), name="x")
    with pytest.raises(PluginError, match=r"the attack gave \(4, 2\), expected \(4,\)"):
        each(MemoryImages(pictures(0, 4)), lambda x, noise: x.flatten(1)[:, :2])
    assert each(MemoryImages(pictures(0, 0)), lambda x, noise: x).shape == (0,)


@pytest.mark.parametrize(("name", "dims"), [("monai2d", 2), ("diffusers2d", 2), ("meddiff3d", 3)])
def test_the_inside_of_a_generator_agrees_with_its_own_loss(name, dims):
    """At the times of its own schedule, with the clean rows and the noise as it draws them."""
    from memtk.config import build

    cls = open_registry().load("generator", name)
    spec = ImageSpec((16, 16, 16) if dims == 3 else (32, 32))
    with seeded(0):
        model = cls(build(cls.Config, cls.presets["smoke"]), spec).eval()
    x = torch.rand(2, 1, *spec.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shown = model.diffusion()
    t = torch.tensor([3, len(shown.kept) // 2])
    with torch.no_grad():
        z = shown.clean(x)
        assert torch.allclose(shown.clean(x[1:]), z[1:], atol=1e-5)  # nothing is drawn
        noise = Noise(0, range(2))
        if (
            draws := hasattr(model, "_draw")
            and getattr(model.config, "space", "latent") == "latent"
        ):
            model._draw = lambda posterior, noise: posterior.chunk(2, dim=1)[0]  # the mean
        eps = noise.normal(*z.shape[1:])
        off = shown.noise(shown.noised(z, eps, t), t) - eps
        loss = model.denoising_loss(x, t, Noise(0, range(2)))
    if name == "meddiff3d":
        want = off.abs().flatten(1).mean(1)
    else:
        v = getattr(model.config, "prediction", "") == "v_prediction"
        want = off.square().flatten(1).mean(1) / (shown.kept[t] if v else 1)
    assert torch.allclose(loss, want, rtol=1e-3), (name, draws)


def test_a_diffusers_prediction_of_any_kind_is_turned_into_noise():
    from memtk_diffusers.config import Diffusers2dConfig
    from memtk_diffusers.noising import Noising

    x, eps, t = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4), torch.tensor([0, 300, 900])
    for kind in ("epsilon", "v_prediction", "sample"):
        noising = Noising(Diffusers2dConfig(prediction=kind))
        noisy = noising.add_noise(x, eps, t)
        found = noising.noise_in(noisy, noising.target(x, eps, t), t)
        assert torch.allclose(found, eps, atol=1e-3), kind
