import pytest
import torch

from memtk.errors import PluginError, UserError
from memtk.noise import Noise, derive
from memtk.training.sampling import sample


@pytest.fixture
def draw(toy, devices, tmp_path):
    def call(model, count=7, name="synthetic", batch_size=3, **options):
        path = tmp_path / f"{name}.h5"
        return sample(
            model,
            count,
            seed=5,
            path=path,
            batch_size=batch_size,
            devices=devices,
            name=name,
            **options,
        )

    return call


def test_image_i_comes_from_stream_i_whatever_the_batch_size(toy, draw):
    model = toy.make().train()
    one, other = draw(model, name="a", batch_size=3), draw(model, name="b", batch_size=7)
    assert len(one) == 7 and one.spec.shape == (8, 8)
    assert model.training
    model.eval()
    expected = model.sample(Noise(derive(5, "sample"), range(7))).clamp(-1, 1)
    for images in (one, other):
        assert torch.allclose(images.read(range(7)), expected, atol=1e-6)


def test_images_are_clamped_to_their_range(toy, draw):
    model = toy.make()
    model.sample = lambda noise: 9 * noise.normal(1, 8, 8)
    x = draw(model).read(range(7))
    assert (x.min(), x.max()) == (-1, 1)


def test_the_global_generator_is_left_as_it_was(toy, draw):
    model = toy.make()
    model.sample = lambda noise: torch.rand(len(noise), 1, 8, 8)
    before = torch.get_rng_state()
    one, other = draw(model, name="a"), draw(model, name="b")
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.read(range(7)), other.read(range(7)))


def test_an_image_that_is_not_finite_is_told_and_nothing_is_written(toy, draw, tmp_path):
    model = toy.make()

    def broken(noise):
        x = noise.normal(1, 8, 8)
        x[[i == 4 for i in noise.indices]] = float("nan")
        return x

    model.sample = broken
    with pytest.raises(UserError, match="step 900: synthetic image 4 is not finite"):
        draw(model, name="step 900")
    assert not list(tmp_path.iterdir())


def test_images_of_another_shape_are_refused(toy, draw):
    model = toy.make()
    model.sample = lambda noise: noise.normal(1, 4, 4)
    with pytest.raises(PluginError, match=r"gave \(3, 1, 4, 4\), expected \(3, 1, 8, 8\)"):
        draw(model)


def test_events_say_how_far_it_is(toy, draw, monkeypatch):
    monkeypatch.setattr("memtk.training.watching.INTERVAL", 0.0)
    events = []
    draw(toy.make(), watch=events.append)
    assert [(e.kind, e.step, e.total) for e in events] == [
        ("start", 0, 7),
        ("step", 3, 7),
        ("step", 6, 7),
        ("step", 7, 7),
        ("end", 7, 7),
    ]


def test_reduced_precision_is_asked_for(toy, draw):
    model, seen = toy.make(), []
    sample_ = model.sample
    model.sample = lambda noise: (
        seen.append(model.denoiser[0](torch.zeros(1, 9)).dtype) or sample_(noise)
    )
    draw(model, precision="bfloat16", count=1)
    assert seen == [torch.bfloat16]
