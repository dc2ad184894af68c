import numpy as np
import pytest
import torch
from torch import nn

from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Embedder, Phase, PhaseSettings, Turn
from memtk.noise import Noise, derive
from memtk.training.batches import Order
from memtk.training.job import ImageInputs


class Convolution(Embedder):
    """Trained to be 0.3 everywhere; keeps what it has seen."""

    width = 1

    class Config(ComponentConfig):
        phase: PhaseSettings = PhaseSettings(
            steps=6, batch_size=4, precision="float32", crop=(4, 6)
        )

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.layer, self.seen, self.encode = nn.Conv2d(1, 1, 3, padding=1), [], None

    def phases(self):
        turn = Turn("only", self.layer.parameters, self.loss, 1e-1)
        return (
            Phase("phase", self.config.phase, (turn,), encode=self.encode, crops=self.check_crop),
        )

    def check_crop(self, spec):
        if spec.shape[0] % 2:
            raise UserError(f"{spec.shape[0]} is odd: take 4")

    def loss(self, x, noise):
        self.seen.append(x)
        return {"mse": (self.layer(x) - 0.3).square().mean()}

    def embed(self, x):
        return self.layer(x).mean((1, 2, 3))[:, None]


@pytest.fixture
def make(toy):
    return lambda **settings: toy.make(Convolution, phase=settings)


def blocks(image, crop):
    """All blocks of an image (1, H, W), one a row."""
    found = np.lib.stride_tricks.sliding_window_view(image[0].numpy(), crop)
    return found.reshape(-1, *crop)


def noisy(x, noise):
    return x + 0.1 * noise.normal(1, 8, 8)


def place(block, image):
    """Number of the one place where a block (1, h, w) lies in an image (1, H, W)."""
    [found] = np.flatnonzero((blocks(image, block.shape[1:]) == block[0].numpy()).all((1, 2)))
    return int(found)


def test_a_sample_is_a_block_of_its_image_at_any_place(images):
    rows, samples = ImageInputs(images, Order(0, "p", 12), crop=(4, 6)), range(600)
    which = rows.order.images(samples)
    x = rows.augment(rows.read(samples), samples)
    places = [place(block, images.x[i]) for block, i in zip(x, which, strict=True)]
    assert all(20 < places.count(n) < 65 for n in range(5 * 3))  # 40 each on average
    assert torch.equal(rows.read([7]), x[7:8])
    assert torch.equal(torch.cat(list(rows.batches(5))), images.x)


def test_images_are_augmented_whole_and_then_cut_at_the_same_places(images):
    order, samples = Order(0, "p", 12), range(30)
    rows, plain = (ImageInputs(images, order, change, (4, 6)) for change in (noisy, None))
    x, cut = rows.augment(rows.read(samples), samples), plain.read(samples)
    changed = noisy(images.read(order.images(samples)), Noise(derive(0, "p", "augment"), samples))
    for k, i in enumerate(order.images(samples)):
        assert place(x[k], changed[k]) == place(cut[k], images.x[i])


def test_a_convolution_is_trained_on_blocks_and_embeds_whole_images(make, run, images):
    model = make()
    run(model)
    which = Order(1, "phase", 12).images(range(24))
    seen = torch.cat(model.seen)
    assert len({place(x, images.x[i]) for x, i in zip(seen, which, strict=True)}) > 5
    assert model.embed(images.x).shape == (12, 1)


@pytest.mark.parametrize("augment", [None, noisy])
def test_two_micro_batches_see_the_blocks_of_one_batch(make, run, tmp_path, augment):
    models = [make(accumulate=n) for n in (1, 2)]
    for model in models:
        run(model, folder=tmp_path / str(model.config.phase.accumulate), augment=augment)
    assert [len(model.seen) for model in models] == [6, 12]
    assert torch.equal(*(torch.cat(model.seen) for model in models))
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_stopped_training_on_blocks_ends_with_the_same_bits(
    toy, make, run, tmp_path, monkeypatch
):
    monkeypatch.setattr("memtk.training.checkpoints.PATIENCE", 0)
    monkeypatch.setattr("memtk.events.INTERVAL", 0.0)

    def stop(event):
        if event.kind == "step" and event.step == 3:
            raise InterruptedError

    straight, resumed = make(), make()
    told = run(straight, folder=tmp_path / "straight")
    with pytest.raises(InterruptedError):
        run(make(), folder=tmp_path / "stopped", save_every=0.0, watch=stop)
    again = run(resumed, folder=tmp_path / "stopped")
    assert toy.same(straight, resumed) and told.losses == again.losses
    assert len(resumed.seen) == 3  # it went on


@pytest.mark.parametrize(
    ("crop", "said"),
    [
        ((4, 9), "crop = 4x9 of phase 'phase' does not lie in images of 8x8: give 2 sides"),
        ((4, 4, 4), "crop = 4x4x4 of .*: give 2 sides, none longer"),
        ((3, 4), "crop = 3x4 of phase 'phase': 3 is odd: take 4"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused(make, run, crop, said):
    with pytest.raises(UserError, match=said):
        run(make(crop=crop))


def test_a_phase_that_needs_whole_images_refuses_a_crop(toy, make, run):
    said = "phase 'phase', which trains on whole images alone: leave crop out"
    with pytest.raises(UserError, match=said):
        run(toy.make(toy.Small, phase={"crop": (4, 4)}))
    model = make()
    model.encode = lambda x: x
    with pytest.raises(UserError, match=said):
        run(model)
