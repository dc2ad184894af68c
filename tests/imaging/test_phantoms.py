import numpy as np
import pytest

from memtk.imaging import phantoms
from memtk.imaging.phantoms import phantom


@pytest.mark.parametrize(("dims", "size"), [(2, 24), (3, 16)])
def test_an_image_is_float32_within_the_range(dims, size):
    x = phantom(0, 5, dims=dims, size=size)
    assert x.dtype == np.float32 and x.shape == (1, *[size] * dims)
    assert -1 <= x.min() < -0.99 and 0.2 < x.max() <= 1


def test_an_image_depends_on_its_numbers_alone():
    first = phantom(1, 2, 3, dims=2, size=16)
    phantom(1, 9, 0, dims=2, size=16)
    assert np.array_equal(first, phantom(1, 2, 3, dims=2, size=16))
    for other in ((0, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not np.array_equal(first, phantom(*other, dims=2, size=16))


def test_images_of_one_patient_are_more_alike_than_those_of_two():
    first = np.stack([phantom(0, i, 0, dims=2, size=32).ravel() for i in range(20)])
    second = np.stack([phantom(0, i, 1, dims=2, size=32).ravel() for i in range(20)])
    likeness = np.corrcoef(first, second)[:20, 20:]
    own, others = np.diag(likeness), likeness[~np.eye(20, dtype=bool)]
    assert np.median(own) > np.quantile(others, 0.99)
    assert np.median(others) < 0.9


def test_an_image_is_smooth_enough_for_a_small_autoencoder():
    x = phantom(0, 0, dims=3, size=32)[0]
    coarse = x.reshape(8, 4, 8, 4, 8, 4).mean((1, 3, 5))
    smooth = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    assert np.var(x - smooth) < 0.2 * np.var(x)


def test_two_patients_of_one_anatomy_would_still_differ_in_pose_and_noise(monkeypatch):
    same = phantoms._anatomy(np.random.default_rng(0), 2)
    monkeypatch.setattr(phantoms, "_anatomy", lambda rng, dims: same)
    first, second = (phantom(0, i, dims=2, size=16) for i in (1, 2))
    assert not np.array_equal(first, second)
