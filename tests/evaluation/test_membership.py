"""Canaries: fair coins, who is scored, and what the bound is made of."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from memtk.data.images import StoredImages, write_images
from memtk.errors import UserError
from memtk.evaluation.membership import (
    Attacked,
    CanaryPatients,
    draw_canaries,
    epsilon_bound,
    largest_epsilon,
)
from memtk.interfaces import ImageSpec


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """60 images of 30 patients; image i is all i / 100."""
    x = (torch.arange(60.0) / 100).reshape(60, 1, 1, 1).expand(60, 1, 4, 4)
    path = tmp_path_factory.mktemp("canaries") / "x.h5"
    made = write_images(path, [x], 60, ImageSpec((4, 4), 1))
    assert isinstance(made, StoredImages)
    made.patients = tuple(f"p{i // 2:02d}" for i in range(60))
    return made


def test_the_coins_are_fair_and_follow_from_the_seed(images):
    drawn = [draw_canaries(images, 20, seed) for seed in range(200)]
    assert draw_canaries(images, 20, 3) == drawn[3]
    assert all(len(set(c.names)) == 20 and set(c.names) <= set(images.patients) for c in drawn)
    heads = sum(sum(c.took_part) for c in drawn)
    assert binom.cdf(heads, 4000, 0.5) > 0.001 and binom.sf(heads, 4000, 0.5) > 0.001
    sums = np.array([sum(c.took_part) for c in drawn])
    assert 3 < sums.var() < 8  # of 20 coins of their own 5; of a fixed half 0
    first = sum(c.took_part[0] for c in drawn)
    assert 70 < first < 130
    often = [sum(name in c.names for c in drawn) for name in set(images.patients)]
    assert min(often) > 90 and max(often) < 175


def test_no_canaries_hold_nobody_back_and_too_few_or_too_many_are_refused(images):
    assert draw_canaries(images, 0, 0) == CanaryPatients()
    assert len(CanaryPatients().leave(images)) == 60
    for count in (9, 31):
        with pytest.raises(UserError, match=f"{count} canaries: at least 10.*are 30 training"):
            draw_canaries(images, count, 0)


def test_who_is_held_back_is_left_out_with_all_images_and_nobody_else(images):
    canaries = draw_canaries(images, 20, 1)
    left = canaries.leave(images)
    away = {n for n, t in zip(canaries.names, canaries.took_part, strict=True) if not t}
    assert canaries.held_back == away and 0 < len(away) < 20
    assert set(left.patients) == set(images.patients) - away
    assert len(left) == 60 - 2 * len(away)
    some = images.patients[:30]
    assert set(canaries.among(some).names) == set(canaries.names) & set(some)
    assert canaries.among(some).held_back == away & set(some)


def test_every_canary_is_scored_once_whether_it_took_part_or_not(images):
    canaries = draw_canaries(images, 20, 1)
    left = canaries.leave(images)
    thinned = left.subset(range(1, len(left)))  # a mitigation left one image out by its looks
    attacked = Attacked.of(thinned, images.subset([]), canaries, images)
    assert len(attacked.pool) == len(thinned) + 2 * len(canaries.held_back) + (
        left.patients[0] in canaries.names
    )
    values = attacked.pool.read(range(len(attacked.pool)))[:, 0, 0, 0].numpy().astype(float)
    arrays = attacked.arrays(values) if len(attacked.non_members) else None
    assert arrays is None  # without validation images there is nothing to compare with
    attacked = Attacked.of(thinned, images.subset([0, 1]), canaries, images)
    values = attacked.pool.read(range(len(attacked.pool)))[:, 0, 0, 0].numpy().astype(float)
    arrays = attacked.arrays(values)
    mean = {f"p{p:02d}": (4 * p + 1) / 200 for p in range(30)}
    assert arrays["canaries"] == pytest.approx([mean[name] for name in canaries.names])
    assert arrays["canaries_took_part"].tolist() == list(canaries.took_part)
    assert len(arrays["members"]) == len(thinned)


def test_the_record_has_each_number_of_guesses_and_what_could_be_shown():
    took_part = np.random.default_rng(0).random(64) < 0.5
    found = epsilon_bound(took_part.astype(float), took_part)
    assert [(g.count, g.right) for g in found.tried] == [(48, 48), (20, 20)]
    assert found.low == found.largest == pytest.approx(largest_epsilon(64))
    q = np.exp(found.low) / (1 + np.exp(found.low))
    assert q**48 == pytest.approx(0.025)
    assert (found.patients, found.took_part, found.confidence) == (64, took_part.sum(), 0.95)
    assert epsilon_bound(-took_part.astype(float), took_part).low == 0
    assert epsilon_bound(took_part.astype(float), took_part, 1e-2).low < found.low
