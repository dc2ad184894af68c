import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, PhaseSettings, Turn
from memtk.noise import Noise
from memtk.training.batches import micro_batches
from memtk.training.devices import open_devices
from memtk.training.footprint import PhasePlan, describe, peak_memory, step_seconds
from memtk.training.steps import Stepper

SPEC = ImageSpec((32, 32))


class Deep(Generator):
    """Residual convolutions of one width: activations and weights are easily counted."""

    class Config(ComponentConfig):
        phase: PhaseSettings = PhaseSettings(steps=3, batch_size=8, precision="float32")
        width: int = 8
        levels: int = 6

    def __init__(self, config, spec):
        super().__init__(config, spec)
        width = config.width
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GELU(),
                          nn.Conv2d(width, width, 3, padding=1), nn.GELU())
            for _ in range(config.levels)
        )  # fmt: skip

    def phases(self):
        turn = Turn("only", self.parameters, self.loss, 1e-3)
        return (Phase("phase", self.config.phase, (turn,)),)

    def blocks_of(self, phase):
        return self.blocks

    def loss(self, x, noise):
        z = self.first(x + noise.normal(*x.shape[1:]))
        for block in self.blocks:
            z = z + block(z)
        return {"square": z.square().mean()}

    def sample(self, noise):
        return noise.normal(1, 32, 32)


def make(width=8, levels=6, **settings):
    merged = Deep.Config().phase.model_dump() | settings
    return Deep(Deep.Config(phase=merged, width=width, levels=levels), SPEC)


def expected(model):
    model = model.to("meta")
    return peak_memory(model, model.phases()[0])


def peak(model, devices):
    """Bytes of all tensors at the peak of the second step, by torch's profiler."""
    phase, size = model.phases()[0], model.config.phase.batch_size
    stepper = Stepper(model.train(), phase, 0, devices, None)

    def step(number):
        found = micro_batches(number, size, model.config.phase.accumulate, 0, 1)
        batch = [(part, torch.rand(len(part.samples), 1, 32, 32)) for part in found]
        stepper.step(number, batch)

    step(0)
    own = sum(p.numel() * 4 for p in model.parameters())
    before = 4 * own  # weights, gradients, Adam
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step(1)
    stepper.close()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = before
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    assert len(events) > 50
    return most


@pytest.mark.parametrize(
    "model",
    [
        {"width": 8, "batch_size": 32},
        {"width": 96, "batch_size": 1, "levels": 8},
        {"width": 8, "batch_size": 32, "accumulate": 4},
        {"width": 8, "batch_size": 32, "levels": 12, "recompute": True},
    ],
    ids=["activations", "weights", "micro-batches", "recomputed"],
)
def test_the_estimate_is_near_the_peak_that_torch_sees(devices, model):
    found, seen = expected(make(**model)), peak(make(**model), devices)
    assert 0.75 < found / seen < 1.3, (found, seen)


def test_what_is_kept_is_counted_as_by_hand():
    """Of each convolution its input and of each GELU its input: 2 + 2 images a block."""
    model = make(width=4, levels=3, batch_size=2)
    own = sum(p.numel() * 4 for p in model.parameters())
    image = 2 * 32 * 32 * 4  # bytes of one channel of the batch
    # the batch and its noisy copy; of each block 4 tensors; the last sum, squared
    by_hand = 4 * own + 2 * image + (3 * 4 + 1) * 4 * image
    assert expected(model) == by_hand


def test_of_a_crop_its_own_size_is_counted_and_timed(monkeypatch):
    own, seen = 4 * 4 * sum(p.numel() for p in make().parameters()), []
    assert 8 * (expected(make(crop=(8, 16))) - own) == expected(make()) - own
    monkeypatch.setattr(Stepper, "step", lambda self, step, batch: seen.append(batch[0][1].shape))
    model = make(crop=(8, 16))
    assert step_seconds(model, model.phases()[0], open_devices("cpu")) is not None
    assert seen == [(8, 1, 8, 16)] * 2


def test_the_average_and_half_batches_are_counted(toy):
    plain = expected(make())
    own = sum(p.numel() * 4 for p in make().parameters())
    assert expected(make(ema_decay=0.9)) == plain + own
    model = make().to("meta")
    halves = peak_memory(model, model.phases()[0], world=2)
    assert 0.4 < (halves - 4 * own) / (plain - 4 * own) < 0.6


def test_a_phase_with_an_encoder_is_measured_behind_it(toy):
    model = toy.make().to("meta")
    model.encode = lambda x: model.encoder(x).flatten(1)
    found = [peak_memory(model, phase) for phase in model.phases()]
    assert all(value > 0 for value in found)
    assert [p.requires_grad for p in model.parameters()] == [True] * len(list(model.parameters()))


def test_a_loss_that_needs_numbers_has_no_estimate(toy):
    model = toy.make(toy.Small).to("meta")
    loss = model.loss
    model.loss = lambda x, noise: {"mse": loss(x, noise)["mse"] * float(x.mean())}
    assert peak_memory(model, model.phases()[0]) is None


def test_only_a_model_without_numbers_is_measured(toy):
    model = toy.make(toy.Small)
    with pytest.raises(ValueError, match="meta"):
        peak_memory(model, model.phases()[0])
    assert Noise(0, [1], "meta").normal(3).is_meta


def test_a_plan_names_phases_and_the_parameters_they_move(toy):
    assert describe(toy.make()) == [
        PhasePlan("autoencoder", 6, 4, {"autoencoder": 20 + 34 + 9 * 64, "critic": 65}),
        PhasePlan("denoiser", 9, 5, {"denoiser": 10 * 8 + 9 * 8}),
    ]


def test_a_step_is_taken_twice_as_a_training_takes_it_and_leaves_the_model_whole(monkeypatch):
    model = Deep(Deep.Config(), SPEC)
    moved, was = [], [p.requires_grad for p in model.parameters()]
    step = Stepper.step

    def counted(self, number, batch):
        moved.append((number, sum(len(part.samples) for part, _ in batch)))
        return step(self, number, batch)

    monkeypatch.setattr(Stepper, "step", counted)
    assert 0 < step_seconds(model, model.phases()[0], open_devices("cpu")) < 60
    assert moved == [(0, 8), (1, 8)]
    assert [p.requires_grad for p in model.parameters()] == was


def test_the_time_of_a_loss_that_noise_does_not_suit_is_not_told():
    model = Deep(Deep.Config(), SPEC)
    model.loss = lambda x, noise: {"loss": x.mean() / 0}
    assert step_seconds(model, model.phases()[0], open_devices("cpu")) is None
