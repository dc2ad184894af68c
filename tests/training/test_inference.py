"""Sampling, embedding and whatever else runs a trained model over rows."""

import numpy as np
import pytest
import torch

from memtk.data.images import open_images, write_images
from memtk.errors import PluginError, UserError
from memtk.noise import Noise, derive
from memtk.training.inference import embed, map_rows, sample


def test_all_rows_are_worked_on_in_order(devices):
    asked = []
    work = lambda rows: asked.append(list(rows)) or torch.tensor(rows)  # noqa: E731
    assert torch.cat(list(map_rows(devices, 7, 3, work))).tolist() == list(range(7))
    assert asked == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.fixture
def draw(toy, devices, tmp_path):
    def call(model, count=7, name="synthetic", batch_size=3, **options):
        path = tmp_path / f"{name}.h5"
        drawn = sample(
            model, count, seed=5, batch_size=batch_size, devices=devices, name=name, **options
        )
        devices.write(drawn, lambda batches: write_images(path, batches, count, model.spec))
        return open_images(path)

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
    monkeypatch.setattr("memtk.events.INTERVAL", 0.0)
    events = []
    draw(toy.make(), watch=events.append)
    assert [(e.kind, e.step, e.total) for e in events] == [
        ("start", 0, 7),
        ("step", 3, 7),
        ("step", 6, 7),
        ("step", 7, 7),
        ("end", 7, 7),
    ]


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_embeddings_are_the_models_whatever_the_batch_size(toy, devices, images, batch_size):
    model = toy.make(toy.Small).train()
    table = embed(model, images, batch_size=batch_size, devices=devices)
    assert (table.shape, table.dtype) == ((12, 3), np.float32)
    assert np.allclose(table, model.embed(images.x).detach().numpy(), atol=1e-6)
    assert model.training


def test_it_is_done_in_eval_mode_without_gradient_and_leaves_the_generator(toy, devices, images):
    model, modes = toy.make(toy.Small).train(), []
    inner = model.embed
    model.embed = lambda x: (
        modes.append((model.training, torch.is_grad_enabled(), torch.rand(()).item() > 2))
        or inner(x)
    )
    before = torch.get_rng_state()
    embed(model, images, batch_size=6, devices=devices)
    assert set(modes) == {(False, False, False)}
    assert torch.equal(before, torch.get_rng_state())


def test_an_embedding_that_is_not_finite_is_told_by_number(toy, devices, images):
    model = toy.make(toy.Small)
    images.x[7] = float("inf")
    with pytest.raises(UserError, match="ntxent: the embedding of image 7 is not finite"):
        embed(model, images, batch_size=5, devices=devices, name="ntxent")


def test_embeddings_of_another_width_are_refused(toy, devices, images):
    model = toy.make(toy.Small)
    model.width = 4
    with pytest.raises(PluginError, match=r"gave \(5, 3\), expected \(5, 4\)"):
        embed(model, images, batch_size=5, devices=devices)


def test_no_images_give_no_embeddings(toy, devices):
    table = embed(
        toy.make(toy.Small), toy.Tensors(torch.zeros(0, 1, 8, 8)), batch_size=5, devices=devices
    )
    assert table.shape == (0, 3)
