import numpy as np
import pytest
import torch

from memtk.errors import PluginError, UserError
from memtk.training.embedding import embed


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
