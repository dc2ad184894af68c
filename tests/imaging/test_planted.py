"""Planted copies: what each kind does to an image, at every strength."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from memtk.imaging.augmentation import PLANTS, mixed
from memtk.noise import Noise

SHAPES = [(24, 40), (16, 20, 24)]
BY_KIND = {plant.kind: plant for plant in PLANTS}


def images(shape, count=5, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    smooth = [ndimage.gaussian_filter(rng.normal(size=shape), 2) for _ in range(count * channels)]
    x = np.stack(smooth).reshape(count, channels, *shape)
    low, high = x.min(), x.max()
    return torch.tensor(1.6 * (x - low) / (high - low) - 0.8, dtype=torch.float32)


def streams(count=5, seed=1):
    return Noise(seed, range(count))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda p: p.kind)
def test_a_row_depends_on_its_own_stream_alone_and_stays_in_range(plant, shape):
    x = images(shape)
    for strength in plant.strengths:
        whole = plant.make(x, strength, streams())
        assert whole.shape == x.shape and whole.abs().max() <= 1 + 1e-6
        part = plant.make(x[2:4], strength, Noise(1, [2, 3]))
        assert torch.equal(whole[2:4], part)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("plant", PLANTS[2:], ids=lambda p: p.kind)
def test_a_stronger_change_moves_an_image_further(plant, shape):
    x = images(shape)
    moved = [float((plant.make(x, s, streams()) - x).square().mean()) for s in plant.strengths]
    assert moved == sorted(moved) and moved[0] > 0
    assert plant.nominal in plant.strengths


@pytest.mark.parametrize("shape", SHAPES)
def test_an_exact_copy_is_the_image_and_a_flip_is_its_mirror_image(shape):
    x = images(shape)
    assert torch.equal(BY_KIND["exact"].make(x, 0.0, streams()), x)
    assert torch.equal(BY_KIND["flip"].make(x, 1.0, streams()), x.flip(-1))


def test_a_rotation_turns_by_the_strength_either_way():
    x = images((33, 33), count=8)
    turned = BY_KIND["rotation"].make(x, 10.0, streams(8))
    inner = (slice(8, 25), slice(8, 25))
    errors = []
    for row, was in zip(turned[:, 0].numpy(), x[:, 0].numpy(), strict=True):
        both = [
            np.abs(ndimage.rotate(was, a, reshape=False, order=1)[inner] - row[inner]).max()
            for a in (10, -10)
        ]
        errors.append(both)
    errors = np.array(errors)
    assert errors.min(axis=1).max() < 0.02
    assert {0, 1} == set(errors.argmin(axis=1).tolist())


def test_a_volume_is_turned_about_one_axis_only():
    x = images((15, 15, 15), count=12)
    turned = BY_KIND["rotation"].make(x, 10.0, streams(12))
    axes = set()
    for row, was in zip(turned[:, 0], x[:, 0], strict=True):
        # The line through the centre along the axis of the rotation stays as it is.
        lines = [row[:, 7, 7] - was[:, 7, 7], row[7, :, 7] - was[7, :, 7], row[7, 7] - was[7, 7]]
        same = [a for a, line in enumerate(lines) if line.abs().max() < 1e-4]
        assert len(same) == 1
        axes.add(same[0])
    assert axes == {0, 1, 2}


@pytest.mark.parametrize("shape", SHAPES)
def test_contrast_is_a_power_of_the_intensity_or_its_inverse(shape):
    x = images(shape, count=8)
    changed = BY_KIND["contrast"].make(x, 1.8, streams(8))
    share, new = (x + 1) / 2, (changed + 1) / 2
    up = (new - share**1.8).abs().flatten(1).amax(1) < 1e-5
    down = (new - share ** (1 / 1.8)).abs().flatten(1).amax(1) < 1e-5
    assert bool((up ^ down).all()) and up.any() and down.any()


def test_lengths_are_shares_of_the_image():
    small, large = images((32, 32)), images((32, 32))
    large = large.repeat_interleave(2, -1).repeat_interleave(2, -2)
    for kind in ("blur", "shift"):
        few = BY_KIND[kind].make(small, 6.0, streams())
        many = BY_KIND[kind].make(large, 6.0, streams())
        pooled = torch.nn.functional.avg_pool2d(many, 2)
        assert (pooled - few)[..., 8:-8, 8:-8].abs().max() < 0.06


def test_blur_is_a_gaussian_of_that_share_of_the_shortest_side():
    x = images((32, 48))
    made = BY_KIND["blur"].make(x, 6.0, streams())[:, 0]
    for row, was in zip(made.numpy(), x[:, 0].numpy(), strict=True):
        wanted = ndimage.gaussian_filter(was, 0.06 * 32, truncate=8)
        assert np.abs(row - wanted)[12:-12, 12:-12].max() < 2e-3


def test_noise_has_the_strength_in_per_cent_of_the_range():
    x = torch.zeros(4, 1, 64, 64)
    made = BY_KIND["noise"].make(x, 10.0, streams(4))
    assert made.std() == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_mixed_copies_differ_from_each_other_and_depend_on_their_own_stream(shape):
    x = images(shape)[:1].repeat(40, 1, *[1] * len(shape))
    made = mixed(x, Noise(3, range(40)))
    assert torch.equal(made[7:9], mixed(x[:2], Noise(3, [7, 8])))
    assert len(torch.unique(made.flatten(1), dim=0)) >= 36, "some are left as they are, few"
    assert (made - x).flatten(1).norm(dim=1).max() > 1
    like = torch.corrcoef(torch.cat([x[:1], made]).flatten(1))[0, 1:]
    flipped = torch.corrcoef(torch.cat([x[:1].flip(-1), made]).flatten(1))[0, 1:]
    assert torch.maximum(like, flipped).min() > 0.5, "a copy is still the image, or its mirror"
