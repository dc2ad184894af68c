import numpy as np
import pytest
import torch

from memtk.errors import UserError
from memtk.interfaces import Phase, PhaseSettings
from memtk.noise import Noise, derive
from memtk.training.batches import Order
from memtk.training.checkpoints import Checkpointer
from memtk.training.job import (
    EncodedInputs,
    ImageInputs,
    TrainingJob,
    TrainingOptions,
    encode,
    open_table,
    write_table,
)


def noisy(x, noise):
    return x + noise.normal(1, 8, 8)


def encoded(toy, devices, images, path, augment, encoder, model=None):
    model = model or toy.make(toy.Small)
    phase = Phase("late", PhaseSettings(batch_size=5, variants=3))
    keep = Checkpointer(path.parent, {}, (), 0.0, True)
    options = TrainingOptions(augment=augment)
    job = TrainingJob(model, (phase,), images, 1, devices, options, lambda event: None, keep)
    encode(job, phase, encoder, path)
    return open_table(path)


def test_rows_are_the_encodings_of_the_images(toy, devices, images, tmp_path):
    table = encoded(toy, devices, images, tmp_path / "a.npy", None, lambda x: 2 * x.flatten(1))
    assert isinstance(table, np.memmap)
    assert np.array_equal(table, 2 * images.x.flatten(1).numpy())


def test_variants_are_augmented_each_by_its_stream(toy, devices, images, tmp_path):
    table = encoded(toy, devices, images, tmp_path / "a.npy", noisy, lambda x: x)
    expected = images.x.repeat_interleave(3, 0)
    expected = noisy(expected, Noise(derive(1, "late", "augment"), range(36)))
    assert np.array_equal(table, expected.numpy())


def test_codes_stay_whole_numbers(toy, devices, images, tmp_path):
    table = encoded(toy, devices, images, tmp_path / "a.npy", None, lambda x: (x > 0).long())
    assert table.dtype == np.int64


def test_reduced_precision_is_stored_as_float32(toy, devices, images, tmp_path):
    table = encoded(toy, devices, images, tmp_path / "a.npy", None, lambda x: x.bfloat16())
    assert table.dtype == np.float32


def test_the_model_is_in_eval_mode_meanwhile_and_in_its_own_mode_afterwards(
    toy, devices, images, tmp_path
):
    model, modes = toy.make(toy.Small).train(), []
    encoder = lambda x: modes.append((model.training, torch.is_grad_enabled())) or x  # noqa: E731
    encoded(toy, devices, images, tmp_path / "a.npy", None, encoder, model)
    assert set(modes) == {(False, False)} and model.training


def test_an_encoder_that_loses_the_batch_axis_is_refused(toy, devices, images, tmp_path):
    with pytest.raises(UserError, match="made 1 rows of 5 images"):
        encoded(toy, devices, images, tmp_path / "a.npy", None, lambda x: x.mean(0, keepdim=True))
    assert not list(tmp_path.iterdir())


def test_a_damaged_table_is_told(tmp_path):
    path = tmp_path / "a.npy"
    write_table(path, [torch.rand(3, 4), torch.rand(1, 4)], 4)
    assert open_table(path).shape == (4, 4)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match="damaged"):
        open_table(path)


def test_a_step_takes_one_random_variant_of_each_image():
    table = np.arange(5 * 4, dtype=np.float32).reshape(20, 1)
    rows = EncodedInputs(None, table, Order(0, "p", 5), 4)
    samples = range(400)
    found = rows.read(samples).flatten().long()
    assert (found // 4).tolist() == rows.order.images(samples)
    assert all(70 < (found % 4 == v).sum() < 130 for v in range(4))
    assert torch.equal(rows.read(range(7, 9)), found[7:9, None].float())
    assert torch.cat(list(rows.batches(2))).flatten().tolist() == [0, 4, 8, 12, 16]


def test_images_are_augmented_each_by_its_sample(images):
    rows = ImageInputs(images, Order(0, "p", 12), noisy)
    x = rows.read([3, 15])
    y = rows.augment(x, [3, 15])
    assert torch.equal(y[1:], rows.augment(x[1:], [15]))
    assert torch.equal(torch.cat(list(rows.batches(5))), images.x)
