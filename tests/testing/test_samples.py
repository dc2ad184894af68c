from __future__ import annotations

import pytest
import torch

from memtk.interfaces import ImageSpec
from memtk.testing.case import smooth_images


@pytest.mark.parametrize("spec", [ImageSpec((8, 9)), ImageSpec((8, 9, 10), channels=2)])
def test_smooth_images_are_different_images_of_that_shape(spec):
    x = smooth_images(spec, 3)
    assert x.shape == (3, spec.channels, *spec.shape) and x.dtype == torch.float32
    assert x.abs().max() <= 1 and x.flatten(1).std(1).min() > 0.1
    assert not torch.equal(x[0], x[1])


def test_smooth_images_depend_on_their_seed_alone():
    spec = ImageSpec((8, 8))
    assert torch.equal(smooth_images(spec, 3), smooth_images(spec, 4)[:3])
    assert not torch.equal(smooth_images(spec, 3), smooth_images(spec, 3, seed=1))
