from fractions import Fraction
from itertools import combinations
from math import ceil

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.memorization import (
    PatientGroup,
    benjamini_hochberg,
    exposed_interval,
    exposed_patients,
    p_values,
    tipping_point,
    undetectable,
)


def people(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def alike(rng, sizes, correlation):
    """Similarities of patients whose images are `correlation` alike."""
    own = rng.normal(size=len(sizes))[people(sizes)]
    return correlation**0.5 * own + (1 - correlation) ** 0.5 * rng.normal(size=len(own))


def reaching(value, rows, n):
    """The chance that a random n of the rows hold one that reaches the value: all are tried."""
    hits = [max(chosen) >= value for chosen in combinations(rows, n)]
    return Fraction(sum(hits), len(hits))


@pytest.mark.parametrize("seed", range(20))
def test_p_values_are_what_their_definition_says(seed):
    rng = np.random.default_rng(seed)
    mine, theirs = rng.integers(1, 6, 15), rng.integers(1 + seed % 4, 7, 12)
    test, validation = rng.integers(0, 9, mine.sum()) / 7, rng.integers(0, 9, theirs.sum()) / 7
    said = exposed_patients(test, people(mine), validation, people(theirs))
    rows = [validation[people(theirs) == v].tolist() for v in range(12)]
    for t, n in enumerate(mine.tolist()):
        best = test[people(mine) == t].max()
        splits = {}
        for b in range(1, n + 1):
            factor = ceil(n / b)
            smaller = sum(len(own) < b for own in rows)
            total = 1 + sum(reaching(best, own, b) if len(own) >= b else 1 for own in rows)
            finest = min(Fraction(factor * (1 + smaller), 13), Fraction(1))
            splits[b] = (finest, factor, float(min(factor * total / 13, Fraction(1))))
        least = min(finest for finest, _, _ in splits.values())
        possible = [p for finest, _, p in splits.values() if finest == least]
        assert min(abs(said.p[t] - p) for p in possible) < 1e-12
    assert said.names == tuple(range(15))
    np.testing.assert_array_equal(said.flagged, benjamini_hochberg(said.p, 0.1))
    assert said.n_flagged == said.flagged.sum()


def test_with_one_training_image_a_patient_it_is_the_test_of_images():
    rng = np.random.default_rng(0)
    theirs = rng.integers(1, 6, 30)
    test, validation = rng.normal(size=20), alike(rng, theirs, 0.5)
    expected = p_values(test, validation, people(theirs))
    for patients in (None, [], range(20)):
        said = exposed_patients(test, patients, validation, people(theirs))
        np.testing.assert_allclose(said.p, expected, rtol=1e-14)
    plain = exposed_patients(test, None, validation, None)
    np.testing.assert_allclose(plain.p, p_values(test, validation), rtol=1e-14)


CASES = {
    "equal": (lambda rng, n: np.full(n, 3), lambda rng, n: np.full(n, 3)),
    "unequal": (lambda rng, n: rng.integers(1, 7, n), lambda rng, n: rng.integers(1, 7, n)),
    "many against one": (lambda rng, n: np.full(n, 4), lambda rng, n: np.ones(n, int)),
    "some too few": (lambda rng, n: np.full(n, 2), lambda rng, n: 1 + 4 * (np.arange(n) % 4 > 0)),
}


@pytest.mark.parametrize("correlation", [0, 0.5, 0.95])
@pytest.mark.parametrize("case", CASES)
def test_strangers_have_valid_p_values_however_many_and_alike_their_images(case, correlation):
    rng = np.random.default_rng(1)
    p = []
    for _ in range(120):
        mine, theirs = (sizes(rng, n) for sizes, n in zip(CASES[case], (20, 39), strict=True))
        said = exposed_patients(
            alike(rng, mine, correlation), people(mine),
            alike(rng, theirs, correlation), people(theirs),
        )  # fmt: skip
        p.append(said.p)
    for level in (1 / 40, 0.05, 0.1, 0.25, 0.5):
        rates = (np.array(p) <= level).mean(1)
        assert rates.mean() <= level + 3 * rates.std() / len(p) ** 0.5
        if case == "equal":
            assert rates.mean() >= level - 3 * rates.std() / len(p) ** 0.5


@pytest.mark.parametrize("correlation", [0, 0.5, 0.99])
def test_the_p_values_of_images_are_valid_with_unequal_numbers_of_images(correlation):
    rng = np.random.default_rng(2)
    p = []
    for _ in range(400):
        theirs = rng.choice([1, 2, 12], 39, p=[0.6, 0.3, 0.1])
        # one image of each of 20 new patients
        p.append(p_values(rng.normal(size=20), alike(rng, theirs, correlation), people(theirs)))
    for level in (1 / 40, 0.05, 0.1, 0.25, 0.5):
        rates = (np.array(p) <= level).mean(1)
        assert rates.mean() <= level + 3 * rates.std() / len(p) ** 0.5


def test_the_number_of_images_alone_exposes_nobody():
    rng = np.random.default_rng(0)
    mine = np.r_[np.full(10, 20), np.ones(40, int)]  # the largest of 20 is large
    said = [
        exposed_patients(rng.normal(size=mine.sum()), people(mine), rng.normal(size=120), None)
        for _ in range(60)
    ]
    assert np.mean([(one.p[:10] <= 0.25).mean() for one in said]) <= 0.25
    assert np.mean([one.n_flagged > 0 for one in said]) <= 0.15


def test_exposed_patients_are_flagged_and_named_in_the_order_of_their_images():
    rng = np.random.default_rng(0)
    patients = ["eve", "bob", "eve", "ann", "bob", "cyd"]
    test = np.array([0.1, 0.99, 0.2, 0.3, 0.1, 0.98])
    said = exposed_patients(test, patients, rng.random(400) / 2, np.arange(400) // 2)
    assert said.names == ("eve", "bob", "ann", "cyd")
    assert said.flagged.tolist() == [False, True, False, True]
    assert said.n_flagged == 2 and said.can_reject and said.min_detectable == 1


@pytest.mark.parametrize("seed", range(12))
def test_fewest_is_the_smallest_number_of_patients_that_can_be_flagged(seed):
    rng = np.random.default_rng(seed)
    mine, theirs = rng.integers(1, 4, 10), rng.integers(1, 4, int(rng.integers(3, 60)))
    validation = rng.random(theirs.sum())
    top = exposed_patients(np.full(mine.sum(), 9.0), people(mine), validation, people(theirs))
    able = []  # who is easiest to flag comes first
    for k in range(1, 11):
        chosen = np.argsort(top.p, kind="stable")[:k]
        test = np.where(np.isin(people(mine), chosen), 9.0, -9.0)
        if exposed_patients(test, people(mine), validation, people(theirs)).n_flagged:
            able.append(k)
    assert top.can_reject == bool(able)
    assert top.min_detectable == (able[0] if able else 11)


def test_what_cannot_be_tested_is_refused():
    ok = np.zeros(3)
    with pytest.raises(UserError, match="fdr = 1:"):
        exposed_patients(ok, None, ok, None, fdr=1)
    with pytest.raises(UserError, match="no training images"):
        exposed_patients(ok[:0], None, ok, None)
    with pytest.raises(UserError, match="no validation images"):
        exposed_patients(ok, None, ok[:0], None)
    with pytest.raises(UserError, match="3 validation images but 2 patients"):
        exposed_patients(ok, None, ok, ["a", "b"])
    with pytest.raises(UserError, match="3 training images but 2 patients"):
        exposed_patients(ok, ["a", "b"], ok, None)


def brute_undetectable(min_p, fdr):
    """Every set of patients at its smallest p-values, the others at 1."""
    unseen = [0]
    for size in range(1, len(min_p) + 1):
        for chosen in combinations(range(len(min_p)), size):
            p = np.ones(len(min_p))
            p[list(chosen)] = min_p[list(chosen)]
            if not benjamini_hochberg(p, fdr).any():
                unseen.append(size)
    return max(unseen)


@pytest.mark.parametrize("seed", range(6))
def test_the_worst_case_of_what_goes_unnoticed_is_that_of_every_set(seed):
    rng = np.random.default_rng(seed)
    min_p = rng.choice([0.01, 0.02, 0.04, 0.11, 0.3], 9)
    found = undetectable(min_p, 0.1)
    assert found.most == brute_undetectable(min_p, 0.1)
    assert found.never == np.count_nonzero(~benjamini_hochberg(min_p, 0.1))


def test_patients_with_many_images_count_among_those_that_go_unnoticed():
    mine, theirs = np.repeat([1, 2, 10], [20, 12, 8]), np.repeat([1, 2, 10], [30, 18, 12])
    rng = np.random.default_rng(0)
    test, validation = np.zeros(mine.sum()), rng.random(theirs.sum()) / 2
    said = exposed_patients(test, people(mine), validation, people(theirs))
    unseen = undetectable(said.min_p)
    assert unseen.never == 8 and unseen.most > said.min_detectable - 1
    worst = np.argsort(-said.min_p, kind="stable")[: unseen.most]  # all of their images, verbatim
    test[np.isin(people(mine), worst)] = 1.0
    assert exposed_patients(test, people(mine), validation, people(theirs)).n_flagged == 0


@pytest.mark.parametrize("sizes", [[1], [1, 2, 10]])
@pytest.mark.parametrize("exposed", [0, 5, 30])
def test_between_low_and_high_patients_are_exposed(sizes, exposed):
    covered, above = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mine, theirs = rng.choice(sizes, 120), rng.choice(sizes, 60)
        test, validation = alike(rng, mine, 0.6), alike(rng, theirs, 0.6)
        for patient in range(exposed):
            test[rng.choice(np.flatnonzero(people(mine) == patient))] += 8
        said = exposed_interval(
            PatientGroup(test, people(mine)),
            PatientGroup(validation, people(theirs)),
            PatientGroup(rng.normal(size=100) + 8),
        )
        assert said.total == 120 and said.low <= said.high
        covered.append(said.low <= exposed <= said.high)
        above.append(said.low > exposed)
    assert np.mean(covered) >= 0.9 and np.mean(above) <= 0.1


def test_the_sure_ones_are_exposed_at_least():
    sides = PatientGroup(np.arange(40.0)), PatientGroup(np.arange(60.0)), PatientGroup(np.ones(9))
    assert exposed_interval(*sides).low == 0
    assert exposed_interval(*sides, sure=3).low == 3


def test_with_fewer_planted_copies_seen_the_upper_end_is_what_the_tipping_point_says():
    rng = np.random.default_rng(0)
    tested = PatientGroup(np.r_[np.full(3, 9.0), rng.normal(size=197)])
    strangers = PatientGroup(rng.normal(size=200))

    def bounded(seen):
        planted = PatientGroup(np.where(np.arange(4000) < 4000 * seen, 9.0, -9.0))
        return exposed_interval(tested, strangers, planted)

    found = bounded(1.0)
    assert found.sensitivity == 1 and found.false_positive_rate < 0.05
    for high in (12, 20, 40):
        least = tipping_point(
            (found.high + 1) / 200,
            (high + 1) / 200,
            sensitivity=found.sensitivity,
            false_positive_rate=found.false_positive_rate,
        )
        assert bounded(least * 1.1).high <= high < bounded(least * 0.8).high
