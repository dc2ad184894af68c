"""Are those compared alike? Levels under the null by simulation, power, and brute force."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binom, permutation_test

from memtk.errors import UserError
from memtk.memorization import (
    PatientGroup,
    bulk_test,
    energy_test,
    likelihood_ratios,
    p_values,
    weighted_p_values,
)


def test_the_energy_test_is_that_of_every_permutation():
    rng = np.random.default_rng(0)
    training, validation = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)) + 1

    def distance(mine, theirs):
        between, own, other = (
            cdist(a, b).mean() for a, b in ((mine, theirs), (mine, mine), (theirs, theirs))
        )
        return 2 * between - own - other, (2 * between - own - other) / (2 * between)

    rows = np.concatenate([training, validation])
    observed, size = distance(training, validation)
    splits = [list(s) for s in combinations(range(9), 5)]
    null = [distance(rows[s], np.delete(rows, s, axis=0))[0] for s in splits]
    said = energy_test(training, validation, permutations=20_000)
    assert said.p == pytest.approx(np.mean(np.array(null) >= observed - 1e-12), abs=0.015)
    assert said.size == pytest.approx(size)


def test_every_patient_counts_once():
    rng = np.random.default_rng(0)
    sets = rng.normal(size=(50, 2)), rng.normal(size=(30, 2)) + 0.3
    whose = rng.integers(0, 20, 50), rng.integers(0, 15, 30)

    def distance(*sides):
        mine, theirs = (
            [sets[side][whose[side] == each] for each in np.unique(whose[side])] for side in sides
        )
        return np.mean([[cdist(x, y).mean() for y in theirs] for x in mine])

    between, own, other = distance(0, 1), distance(0, 0), distance(1, 1)
    said = energy_test(*sets, *(each.tolist() for each in whose))
    assert said.size == pytest.approx((2 * between - own - other) / (2 * between))


def test_the_distances_of_many_images_are_not_held_at_once():
    rng = np.random.default_rng(0)
    sets, whose = rng.normal(size=(2, 6000, 2)), (np.arange(6000) % 60).tolist()
    tracemalloc.start()
    energy_test(*sets, whose, whose, permutations=99)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 2**20 < 8 * 12_000**2, "all of them take 1.1 GB"


def apart(seed, shift):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(60, 3)), rng.normal(size=(40, 3)) + shift


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.4])
def test_the_energy_test_is_that_of_scipy(shift):
    rows = apart(3, shift)
    distance = cdist(np.concatenate(rows), np.concatenate(rows))

    def energy(mine, theirs):
        between = distance[np.ix_(mine, theirs)].mean()
        return 2 * between - sum(distance[np.ix_(own, own)].mean() for own in (mine, theirs))

    expected = permutation_test(
        (np.arange(60), np.arange(60, 100)),
        energy,
        vectorized=False,
        n_resamples=3999,
        alternative="greater",
        rng=np.random.default_rng(0),
    ).pvalue
    said = energy_test(*rows, level=expected, permutations=9999).p
    error = (expected * (1 - expected) * (1 / 3999 + 1 / 9999)) ** 0.5
    assert said == pytest.approx(expected, abs=4 * error)


def test_near_the_level_no_seed_decides_otherwise():
    rows = apart(3, 0.303)
    exact = energy_test(*rows, level=0.048, permutations=100_000, seed=99).p
    few = {energy_test(*rows, permutations=999, seed=seed).p <= 0.05 for seed in range(12)}
    many = [energy_test(*rows, seed=seed).p for seed in range(12)]
    assert few == {True, False} and {p <= 0.05 for p in many} == {exact <= 0.05}
    assert energy_test(*rows, seed=5).p == many[5]


def test_far_from_the_level_few_permutations_are_drawn():
    for level, shift in ((0.05, 0.0), (0.05, 1.0), (0.01, 0.0), (0.01, 0.2)):
        p = energy_test(*apart(0, shift), level=level).p
        assert (p * 1000) == pytest.approx(round(p * 1000)), (level, shift)


@pytest.mark.parametrize("sites", ["one", "other", "mixed"])
def test_a_second_site_is_seen_and_one_population_is_not_refused(sites):
    small = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        training, validation = rng.normal(size=(80, 16)), rng.normal(size=(40, 16))
        if sites == "other":
            validation += 0.5
        if sites == "mixed":
            training[40:] += 1
        small += energy_test(training, validation, permutations=99, seed=seed).p <= 0.05
    assert small <= binom.ppf(0.999, 40, 0.05) if sites == "one" else small >= 38


def test_patients_are_permuted_and_count_once_whatever_their_images():
    small = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        people = [np.repeat(np.arange(n), rng.integers(1, 12, n)) for n in (40, 20)]
        rows = [rng.normal(size=(p.max() + 1, 4))[p] for p in people]  # images of one are equal
        small += energy_test(*rows, *people, permutations=99, seed=seed).p <= 0.05
    assert small <= binom.ppf(0.999, 40, 0.05)
    once = [np.unique(p, return_index=True)[1] for p in people]
    alone = energy_test(rows[0][once[0]], rows[1][once[1]], permutations=99, seed=39)
    assert energy_test(*rows, *people, permutations=99, seed=39).size == pytest.approx(alone.size)


def test_many_patients_are_sampled_and_equal_rows_are_alike():
    rng = np.random.default_rng(0)
    said = energy_test(rng.normal(size=(1500, 3)), rng.normal(size=(1200, 3)) + 1, permutations=49)
    assert said.p == 0.02
    assert energy_test(np.ones((5, 2)), np.ones((4, 2)), permutations=49) == type(said)(1.0, 0.0)
    with pytest.raises(UserError, match="no validation images"):
        energy_test(np.ones((5, 2)), np.ones((0, 2)))


@pytest.mark.parametrize(("copies", "blurred"), [(0, 0.0), (40, 0.0), (0, 1.0)])
def test_the_bulk_of_the_p_values_shows_blur_and_no_copies(copies, blurred):
    small = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tested = rng.normal(size=240) + blurred
        tested[:copies] += 8
        strangers = PatientGroup(rng.normal(size=100))
        small += bulk_test(PatientGroup(tested), strangers, draws=300, seed=seed).p <= 0.05
    assert small >= 40 if blurred else small <= binom.ppf(0.999, 60, 0.05)


def test_where_everything_is_a_copy_there_is_no_bulk():
    said = bulk_test(PatientGroup(np.full(9, 2.0)), PatientGroup(np.linspace(0, 1, 20)))
    assert (said.p, said.size) == (1.0, 0.0)


def test_equal_weights_give_conformal_p_values_and_others_their_definition():
    rng = np.random.default_rng(0)
    test, validation = rng.integers(0, 9, 20) / 9, rng.integers(0, 9, 30) / 9
    people = rng.integers(0, 12, 30)
    names = np.unique(people, return_inverse=True)[1]
    tested, strangers = PatientGroup(test), PatientGroup(validation, people)
    even = np.ones(20), np.ones(30)
    expected = p_values(test, validation, people)
    np.testing.assert_allclose(weighted_p_values(tested, strangers, even), expected)
    mine, theirs = rng.random(20) + 0.1, rng.random(30) + 0.1
    share = theirs / np.bincount(names)[names]
    brute = [
        (w + share[validation >= x].sum()) / (w + share.sum())
        for x, w in zip(test, mine, strict=True)
    ]
    np.testing.assert_allclose(weighted_p_values(tested, strangers, (mine, theirs)), brute)
    for wrong in ((mine, theirs[1:]), (-mine, theirs)):
        with pytest.raises(UserError, match="positive weight of each"):
            weighted_p_values(tested, strangers, wrong)


def test_weights_from_a_covariate_mend_what_a_second_site_spoils():
    plain, weighted = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sites = [rng.random(200) < 0.5, rng.random(150) < 0.2]
        test, validation = (rng.normal(size=len(site)) + 1.5 * site for site in sites)
        weights = likelihood_ratios(*(site[:, None].astype(float) for site in sites), seed=seed)
        plain.append(np.mean(p_values(test, validation) <= 0.1))
        groups = PatientGroup(test), PatientGroup(validation)
        weighted.append(np.mean(weighted_p_values(*groups, weights) <= 0.1))
    assert np.mean(plain) > 0.18 and np.mean(weighted) < 0.115


def test_likelihood_ratios_are_those_of_the_normal_distributions_that_made_the_rows():
    rng = np.random.default_rng(0)
    tested, strangers = rng.normal(size=(2000, 3)) + [0.8, 0, 0], rng.normal(size=(1000, 3))
    mine, theirs = likelihood_ratios(tested, strangers)
    for rows, found in ((tested, mine), (strangers, theirs)):
        truth = 0.8 * rows[:, 0] - 0.32
        assert np.corrcoef(np.log(found), truth)[0, 1] > 0.98
        assert abs(np.log(found) - truth).mean() < 0.15
    assert theirs.mean() == pytest.approx(1, abs=0.1)
