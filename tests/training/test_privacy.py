"""Differentially private training: clipping, noise, sampling, resuming, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

pytest.importorskip("opacus", reason="dp-sgd needs opacus")

from memtk.data.images import MemoryImages
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Phase, PhaseSettings, Private, Trainable, Turn
from memtk.noise import Noise, derive
from memtk.training.batches import MicroBatch
from memtk.training.privacy import SECRET, PrivacyUnits, check_private, make_private, units_of
from memtk.training.private_steps import PrivateStepper

OPEN = Private(epsilon=None, noise_multiplier=1.0, secret=False)


@pytest.fixture
def people(toy):
    """Twelve images of five patients."""
    return MemoryImages(toy.pictures(), [f"p{i}" for i in (0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4)])


class Spread(Trainable):
    """One linear map; its loss differs a lot between rows."""

    class Config(ComponentConfig):
        only: PhaseSettings = PhaseSettings(steps=6, batch_size=6, precision="float32")

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.linear = nn.Linear(64, 3)
        self.register_buffer("scale", torch.ones(()))
        self.seen = []

    def phases(self):
        turn = Turn("only", self.linear.parameters, self.loss, 1e-2)
        return (Phase("only", self.config.only, (turn,), begin=self.begin),)

    def begin(self, batches):
        self.seen += [x.clone() for x in batches]

    def loss(self, x, noise):
        z = self.linear(x.flatten(1)) + 0.1 * noise.normal(3)
        return {"mse": (20 * x.mean((1, 2, 3)).abs()[:, None] * z.square()).mean()}


class Killed(Spread):
    """Is killed in the middle of its fifth step or so."""

    left = 11

    def loss(self, x, noise):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return super().loss(x, noise)


def stepper(toy, people, devices, tmp_path, settings):
    model = toy.make(Spread).train()
    private = make_private(
        settings, model, people, seed=1, folder=tmp_path, devices=devices, name="spread"
    )
    return model, private, PrivateStepper(model, model.phases()[0], 1, devices, None, (), private)


def by_hand(model, people, units, limit, step):
    """Sum of the units' clipped gradients, one weight after the other."""
    total = [torch.zeros_like(p) for p in model.parameters()]
    norms = []
    for images in units:
        noise = Noise(derive(1, "only", "only", "noise"), [step * 12 + i for i in images])
        loss = model.loss(people.read(images), noise)["mse"]
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = float(torch.cat([g.flatten() for g in gradients]).norm())
        norms.append(norm)
        for t, g in zip(total, gradients, strict=True):
            t += g * min(1.0, limit / norm)
    return total, norms


@pytest.mark.parametrize("at_once", [1, 400, 2**24])
@pytest.mark.parametrize("unit", ["patient", "image"])
def test_a_step_moves_along_the_clipped_gradients_of_its_units(
    toy, people, devices, tmp_path, monkeypatch, unit, at_once
):
    monkeypatch.setattr("memtk.training.private_steps.AT_ONCE", at_once)
    settings = replace(OPEN, noise_multiplier=1e-9, max_grad_norm=0.5, unit=unit)
    model, private, step = stepper(toy, people, devices, tmp_path, settings)
    assert len(private.budget.units) == (5 if unit == "patient" else 12)
    parts = private.micro_batches("only", 3)
    units = [[k % 12 for k in part.samples] for part in parts]
    want, norms = by_hand(model, people, units, 0.5, 3)
    assert min(norms) < 0.5 < max(norms) or unit == "patient"  # some are clipped, some are not
    step.step(3, [(part, people.read([k % 12 for k in part.samples])) for part in parts])
    expected = 0.5 * len(private.budget.units)  # 6 of 12 images a step
    for parameter, total in zip(model.parameters(), want, strict=True):
        assert torch.allclose(parameter.grad * expected, total, atol=1e-5)
    step.close()
    assert not any(hasattr(p, "grad_sample") for p in model.parameters())


def test_no_unit_moves_the_sum_further_than_the_limit(toy, people, devices, tmp_path):
    settings = replace(OPEN, noise_multiplier=1e-9, max_grad_norm=0.5)
    model, private, step = stepper(toy, people, devices, tmp_path, settings)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    sums = []
    for left_out in (None, 0, 3):
        model.load_state_dict(weights)
        chosen = [u for i, u in enumerate(private.budget.units.images) if i != left_out]
        rows = [(MicroBatch(u, len(u) / 12), people.read(u)) for u in chosen]
        step.step(0, rows)
        sums.append(torch.cat([p.grad.flatten() for p in model.parameters()]) * 2.5)
    for other in sums[1:]:
        assert float((sums[0] - other).norm()) <= 0.5 + 1e-5


def test_the_noise_has_the_spread_that_was_asked_for(toy, people, devices, tmp_path):
    settings = replace(OPEN, noise_multiplier=3.0, max_grad_norm=0.5)
    model, private, step = stepper(toy, people, devices, tmp_path, settings)
    drawn = []
    for number in range(12):
        step.step(number, [])  # nobody is in: noise alone
        drawn.append(torch.cat([p.grad.flatten() for p in model.parameters()]) * 2.5)
    found = torch.stack(drawn)  # (12, 195)
    assert kstest(found.flatten().numpy() / 1.5, "norm").pvalue > 1e-3
    assert abs(float(torch.corrcoef(found[:2])[0, 1])) < 0.3  # another noise at each step
    step.step(0, [])
    again = torch.cat([p.grad.flatten() for p in model.parameters()]) * 2.5
    assert torch.equal(again, drawn[0])


def test_units_are_sampled_independently_and_whole():
    units = PrivacyUnits(tuple((2 * i, 2 * i + 1) for i in range(200)), 400)
    counts = np.zeros(200)
    for seed in range(300):
        parts = units.micro_batches(seed, 0.3, seed)
        for part in parts:
            first, second = (k - seed * 400 for k in part.samples)
            assert second == first + 1 and first % 2 == 0
            counts[first // 2] += 1
        assert not parts or sum(p.weight for p in parts) == pytest.approx(1)
    assert abs(counts.mean() - 90) < 3 and 50 < counts.var() < 80  # 300 x 0.3 x 0.7 = 63


def test_what_an_image_draws_does_not_hang_on_who_else_is_in_the_step():
    units = PrivacyUnits(tuple((i,) for i in range(8)), 8)
    whole = {p.samples for p in units.micro_batches(5, 1.0, 0)}
    some = {p.samples for p in units.micro_batches(5, 0.5, 1)}
    assert some < whole and all(5 * 8 <= k[0] < 6 * 8 for k in whole)


@pytest.mark.parametrize("secret", [True, False])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    toy, people, run, tmp_path, monkeypatch, secret
):
    monkeypatch.setattr("memtk.training.privacy.secrets.randbits", lambda bits: 77)
    settings = replace(OPEN, secret=secret)
    straight, stopped = toy.make(Spread), toy.make(Killed)
    whole = run(straight, people, private=settings, folder=tmp_path / "a", checkpoints=2)
    asked = {"private": settings, "folder": tmp_path / "b", "checkpoints": 2, "save_every": 0.0}
    with pytest.raises(KeyboardInterrupt):
        run(stopped, people, **asked)
    assert (tmp_path / "b" / SECRET).exists() == secret
    monkeypatch.setattr("memtk.training.privacy.secrets.randbits", lambda bits: 1)
    again = toy.make(Killed)
    again.left = 10**6
    found = run(again, people, **asked)
    assert toy.same(straight, again) and found.losses == whole.losses
    assert found.privacy == whole.privacy
    assert not (tmp_path / "b" / SECRET).exists()
    run(again, people, **asked)  # it is finished
    assert not (tmp_path / "b" / SECRET).exists()


def test_two_secret_trainings_differ_and_two_open_ones_do_not(toy, people, run, tmp_path):
    models = []
    for number, secret in enumerate((True, True, False, False)):
        models.append(toy.make(Spread))
        folder = tmp_path / str(number)
        found = run(models[-1], people, private=replace(OPEN, secret=secret), folder=folder)
        assert found.privacy.secret == secret
        assert secret != any("knows the seed" in note for note in found.privacy.notes)
    assert not toy.same(models[0], models[1]) and toy.same(models[2], models[3])


def test_the_guarantee_names_what_was_done(toy, people, run):
    model = toy.make(Spread, only={"batch_size": 12})
    spent = run(model, people, private=Private(epsilon=2.0)).privacy
    assert 1.9 < spent.epsilon <= 2.0 and spent.delta == pytest.approx(0.02)
    assert (spent.unit, spent.units, spent.most_images) == ("patient", 5, 4)
    assert [(s.phase, s.steps, s.sample_rate) for s in spent.phases] == [("only", 6, 1.0)]
    assert any("phantoms" in note for note in spent.notes)


def test_epsilon_for_images_says_what_it_leaves_of_patients(toy, people, run):
    spent = run(toy.make(Spread), people, private=replace(OPEN, unit="image")).privacy
    assert spent.units == 12 and any("n times weaker" in note for note in spent.notes)


def test_before_the_first_step_a_phase_sees_phantoms_and_no_training_image(
    toy, people, run, tmp_path
):
    model = toy.make(Spread)
    run(model, people, private=OPEN)
    shown = torch.cat(model.seen)
    assert len(shown) == 16 and shown.shape[1:] == (1, 8, 8)
    assert float(torch.cdist(shown.flatten(1), people.x.flatten(1)).min()) > 1
    open_eyed = toy.make(Spread)
    run(open_eyed, people, folder=tmp_path / "open")
    assert torch.equal(torch.cat(open_eyed.seen), people.x)


def test_another_budget_is_another_training(toy, people, run):
    run(toy.make(Spread), people, private=OPEN)
    with pytest.raises(UserError, match=r"private.noise_multiplier was 1.0 and is now 2.0"):
        run(toy.make(Spread), people, private=replace(OPEN, noise_multiplier=2.0))
    with pytest.raises(UserError, match="private"):
        run(toy.make(Spread), people)


def test_a_loss_that_is_not_finite_is_told_before_it_moves_a_weight(toy, people, run, tmp_path):
    class Broken(Spread):
        def loss(self, x, noise):
            return {"mse": super().loss(x, noise)["mse"] * float("nan")}

    class Steep(Spread):
        def loss(self, x, noise):
            return {"mse": (self.linear(x.flatten(1)) * 0).sqrt().mean()}

    for kind, term in ((Broken, "mse"), (Steep, "gradient norm")):
        with pytest.raises(UserError, match=f"{term} = "):
            run(toy.make(kind), people, private=OPEN, folder=tmp_path / term)


def test_what_cannot_be_private_is_refused_with_a_way_out(toy, people, run, devices, tmp_path):
    with pytest.raises(UserError, match=r"turns \(autoencoder, critic\).*\n.*autoencoder.steps=0"):
        check_private(toy.make(toy.TwoPhase), "two")
    with pytest.raises(UserError, match="compares the images of a batch"):
        check_private(toy.make(toy.Coupled), "coupled")

    class Keeps(Spread):
        def phases(self):
            return (Phase("keep", PhaseSettings(steps=0), begin=self.begin), *super().phases())

    class Normed(Spread):
        def __init__(self, config, spec):
            super().__init__(config, spec)
            self.linear = nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 3))

    class Remembers(Spread):
        def loss(self, x, noise):
            self.scale += x.detach().mean()
            return super().loss(x, noise)

    class Idle(Spread):
        def phases(self):
            return ()

    with pytest.raises(UserError, match="takes the training images as they are"):
        check_private(toy.make(Keeps), "keeps")
    with pytest.raises(UserError, match="batch norms"):
        check_private(toy.make(Normed), "normed")
    with pytest.raises(UserError, match="takes no step of training"):
        check_private(toy.make(Idle), "idle")
    with pytest.raises(UserError, match="changes the buffer 'scale'"):
        run(toy.make(Remembers), people, private=OPEN)
    with pytest.raises(UserError, match="must be below 0.2"):
        run(toy.make(Spread), people, private=replace(OPEN, delta=0.3), folder=tmp_path / "x")
    with pytest.raises(UserError, match="dp-sgd.unit=image"):
        units_of(MemoryImages(people.x), "patient")

    class Two:
        world = 2

    with pytest.raises(UserError, match="one process, and there are 2"):
        make_private(
            OPEN, toy.make(Spread), people, seed=0, folder=tmp_path, devices=Two(), name="x"
        )
