"""Images of another scale than the training images', given to `memtk.Memorization`."""

from __future__ import annotations

import copy

import pytest
import torch

import memtk
from memtk import UserError

REAL = [torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
"""Training and validation images, in [0, 1]."""
WHOLE = [2 * x - 1 for x in REAL]
PLAIN = {"similarity": "ncc", "plants": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def metric():
    """One of images in [-1, 1], not yet updated."""
    return memtk.Memorization.from_images(*WHOLE, **PLAIN)


@pytest.fixture
def fresh(metric):
    return copy.deepcopy(metric)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1024, 1500), (0, 4095), (-5, 1)])
def test_images_of_another_scale_are_refused_with_the_way_out(fresh, low, high):
    x = torch.linspace(low, high, 512).reshape(2, 1, 16, 16)
    for take in (fresh.update, fresh.embed):
        with pytest.raises(UserError, match=r"scale these in the same way.*x\.clamp\(-1, 1\)"):
            take(x)
    fresh.update((x - low) / (high - low) * 2 - 1)


def test_a_scale_of_half_the_range_is_told_from_the_whole(fresh):
    for take in (fresh.update, fresh.embed):
        with pytest.raises(UserError, match=r"values from .*none below 0.*2 \* x - 1"):
            take(REAL[0])
    fresh.update(torch.zeros(2, 1, 16, 16))  # a generator that has learned nothing yet
    with pytest.raises(UserError, match=r"validation: values from .*2 \* x - 1"):
        memtk.Memorization.from_images(WHOLE[0], REAL[1], **PLAIN)


def test_the_whole_range_is_told_from_half_of_it():
    with pytest.raises(UserError, match=r"validation: values from -.*lie in \[0, 1\]"):
        memtk.Memorization.from_images(REAL[0], WHOLE[1], **PLAIN)
    half = memtk.Memorization.from_images(*REAL, **PLAIN)
    half.update(REAL[0] + 0.3)  # a sampler goes a little beyond
    with pytest.raises(UserError, match=r"synthetic: values from -.*clamp\(0, 1\)"):
        half.update(WHOLE[0])
