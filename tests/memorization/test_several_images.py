"""Patients with several images: all of them count, and none is drawn."""

import itertools

import numpy as np
import pytest

from memtk.memorization import (
    PatientGroup,
    at_least,
    best_threshold,
    bulk_test,
    exposed_interval,
    tail_test,
)


def people(rng, sizes, spread=0.5):
    """Similarities of patients with so many images, which have more or less in common."""
    own = np.repeat(rng.normal(size=len(sizes)), sizes)
    near = 0.5 + 0.1 * (own + spread * rng.normal(size=sum(sizes)))
    return PatientGroup(near, np.repeat(np.arange(len(sizes)), sizes).tolist())


def weighing(group, images, x):
    """How many patients are as near as x, on average over all choices of so many images."""
    total = 0.0
    for patient in range(len(group.sizes)):
        own = group.similarity[group.owner == patient]
        chosen = [max(some) >= x for some in itertools.combinations(own, images)]
        total += np.mean(chosen) if chosen else 0.0
    return total


@pytest.mark.parametrize("images", [1, 2, 3])
def test_as_many_are_nearer_as_on_average_over_all_choices_of_images(images):
    group = people(np.random.default_rng(images), [1, 2, 3, 3, 4, 5, 5])
    ranked = group.ranked_largest(images)
    assert len(ranked) == (group.sizes >= images).sum()
    assert (np.diff(ranked) <= 0).all()
    for x in np.r_[group.similarity, np.linspace(0, 1, 7)]:
        assert (ranked >= x).sum() == np.ceil(weighing(group, images, x) - 1e-9)


def test_with_one_image_a_patient_they_are_the_images_in_order():
    near = np.random.default_rng(0).uniform(size=30).round(1)  # with ties
    np.testing.assert_array_equal(PatientGroup(near).ranked_largest(1), np.sort(near)[::-1])


def test_where_nobody_has_as_many_images_nobody_is_ranked():
    few = people(np.random.default_rng(0), [1, 2, 2])
    assert len(few.ranked_largest(3)) == 0
    tested = PatientGroup(np.linspace(0, 0.9, 12), np.repeat(np.arange(4), 3).tolist())
    found = exposed_interval(tested, few, PatientGroup(np.full(20, 0.99)))
    assert 0 <= found.low <= found.high <= 4


def test_a_rank_p_value_is_small_no_more_often_than_it_says():
    small = np.zeros(3)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        strangers = people(rng, [1, 1, 2, 2, 5, 9] * 4, spread=1.0)
        p = tail_test(people(rng, [1] * 20, spread=1.0), strangers).rank_p
        small += [(p <= level).mean() for level in (0.04, 0.12, 0.4)]
    assert (small / 400 <= np.array([0.04, 0.12, 0.4]) + 0.01).all()
    assert small[2] / 400 > 0.33


def test_no_answer_hangs_on_which_image_of_a_patient_a_seed_would_draw():
    rng = np.random.default_rng(3)
    strangers, tested = people(rng, [1, 3, 6] * 12, 2.0), people(rng, [1, 2, 4] * 15, 2.0)
    made = PatientGroup(np.r_[rng.uniform(0.95, 1.0, 20), people(rng, [1] * 60, 2.0).similarity])
    planted = PatientGroup(rng.uniform(0.7, 0.95, 60))
    said = [
        (
            tail_test(made, strangers, seed=seed).rank_p.tolist(),
            best_threshold(strangers, planted, 72, seed=seed),
            bulk_test(made, strangers, seed=seed).size,
            exposed_interval(tested, strangers, planted, seed=seed).threshold,
        )
        for seed in range(4)
    ]
    assert all(other == said[0] for other in said)
    counts = [at_least(made, strangers, seed=seed).count for seed in range(4)]
    assert min(counts) > 0 and np.ptp(counts) <= 1  # critical values are simulated


def test_the_bulk_of_strangers_is_like_other_strangers_as_often_as_it_says():
    alike, nearer = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        strangers = people(rng, [1, 2, 10] * 12, spread=1.0)
        made = people(rng, [1] * 144, spread=1.0).similarity
        alike.append(bulk_test(PatientGroup(made), strangers, draws=400, seed=seed).p)
        nearer.append(bulk_test(PatientGroup(made + 0.1), strangers, draws=400, seed=seed).p)
    assert np.mean(np.array(alike) <= 0.05) <= 0.1
    assert 0.4 < np.mean(np.array(alike) <= 0.5) < 0.65
    assert np.mean(np.array(nearer) <= 0.05) > 0.5
