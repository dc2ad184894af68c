"""Lower bounds by closed testing, against every subset and against simulated truth."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import betabinom, binom
from statsmodels.stats.multitest import multipletests

from memtk.errors import UserError
from memtk.memorization import PatientGroup, at_least

RANKS = (1, 2, 3, 5, 8, 13)


@cache
def smallest(strangers, patients):
    """The smallest p-values of simulated urns: tested and validation scores are drawn."""
    rng = np.random.default_rng(99)
    scores = rng.random((20_000, strangers + patients))
    validation = -np.sort(-scores[:, strangers:], axis=1)
    found = np.ones(len(scores))
    for j in (j for j in RANKS if j <= patients):
        near = (scores[:, :strangers] > validation[:, j - 1 : j]).sum(1)
        found = np.minimum(found, tail(near, strangers, j, patients))
    return np.sort(found)


@cache
def tails(strangers, j, patients):
    return betabinom.sf(np.arange(strangers + 1) - 1, strangers, j, patients + 1 - j)


def tail(near, strangers, j, patients):
    return tails(strangers, j, patients)[near]


def rejected(scores, validation, level):
    """Whether these scores cannot all be strangers, and how clearly: (share of urns) - level."""
    if not len(scores):
        return -1.0
    ranked = np.sort(validation)[::-1]
    p = min(
        tail(int((scores > ranked[j - 1]).sum()), len(scores), j, len(ranked))
        for j in RANKS
        if j <= len(ranked)
    )
    null = smallest(len(scores), len(ranked))
    return level - np.searchsorted(null, p * (1 + 1e-9), side="right") / len(null)


def closed(lists, kept):
    """At least so many of each list are no strangers, by the sets that are not rejected."""
    return [min(len(set(units) - each) for each in kept) for units in lists]


@pytest.mark.parametrize("seed", range(6))
def test_closing_the_test_of_simes_by_brute_force_gives_the_rejections_of_hommel(seed):
    rng = np.random.default_rng(seed)
    p = rng.random(7) ** 3
    subsets = [list(s) for n in range(8) for s in combinations(range(7), n)]
    for level in (0.02, 0.05, 0.2):
        kept = [
            set(s)
            for s in subsets
            if not s or (np.sort(p[s]) * len(s) / np.arange(1, len(s) + 1)).min() > level
        ]
        single = closed([[unit] for unit in range(7)], kept)
        assert single == multipletests(p, level, "hommel")[0].astype(int).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_closed_test_of_every_subset(seed):
    rng = np.random.default_rng(seed)
    count, patients, level = int(rng.integers(2, 9)), int(rng.integers(2, 12)), 0.2
    scores, validation = rng.random(count), rng.random(patients)
    scores[: rng.integers(0, count + 1)] += 1
    found = at_least(PatientGroup(scores), PatientGroup(validation), confidence=1 - level)
    order = np.argsort(-scores)
    np.testing.assert_array_equal(found.order, order)
    subsets = [s for n in range(count + 1) for s in combinations(range(count), n)]
    clear = {s: rejected(scores[list(s)], validation, level) for s in subsets}
    for slack in (-0.01, 0.01):  # critical values are simulated: between the two lies the bound
        kept = [set(s) for s in subsets if not clear[s] > slack]
        brute = closed([order[:k] for k in range(1, count + 1)], kept)
        assert (np.array(brute) - found.of_top)[:].min() * np.sign(slack) <= 0 or np.array_equal(
            brute, found.of_top
        )
    assert found.count == found.of_top[-1]


@pytest.mark.parametrize(
    ("tested", "patients", "copies"), [(200, 60, 0), (200, 100, 12), (64, 36, 8), (240, 20, 40)]
)
def test_no_list_is_promised_more_than_it_holds_in_more_than_one_of_twenty(
    tested, patients, copies
):
    wrong, found = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=tested)
        scores[:copies] += 8
        said = at_least(PatientGroup(scores), PatientGroup(rng.normal(size=patients)))
        wrong += bool((said.of_top > np.cumsum(said.order < copies)).any())
        found.append(said.count)
        steps = np.diff(said.of_top, prepend=0)
        assert steps.min() >= 0 and len(said.of_top) == tested
    assert wrong <= binom.ppf(0.999, 60, 0.05)
    if copies >= 12 and patients >= 60:
        assert np.mean(np.array(found) > 0) > 0.9  # where Benjamini-Hochberg flags in 4%


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_patients_with_several_images_are_bounded_too(alike):
    wrong, found = 0, []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        groups = []
        for size in (100, 60):
            people = np.repeat(np.arange(size), rng.choice([1, 2, 10], size))
            own = rng.normal(size=size)[people]
            groups.append(
                (alike**0.5 * own + (1 - alike) ** 0.5 * rng.normal(size=len(own)), people)
            )
        (test, mine), (validation, theirs) = groups
        for patient in range(30):
            test[rng.choice(np.flatnonzero(mine == patient))] += 9
        tested = PatientGroup(test, mine)
        said = at_least(tested, PatientGroup(validation, theirs))
        wrong += bool((said.of_top > np.cumsum(said.order < 30)).any())
        found.append(said.count)
    assert wrong <= binom.ppf(0.999, 30, 0.05)
    assert np.mean(found) > 3


def test_a_generator_that_gives_everything_back_is_bounded_quickly():
    found = at_least(PatientGroup(np.full(20_000, 0.99)), PatientGroup(np.linspace(0, 0.9, 100)))
    assert found.count == 20_000
    np.testing.assert_array_equal(found.of_top[:100], np.arange(1, 101))


def test_the_same_seed_gives_the_same_and_a_confidence_that_is_none_is_refused():
    rng = np.random.default_rng(0)
    sides = PatientGroup(rng.random(50) + 0.3), PatientGroup(rng.random(20))
    one, other = (at_least(*sides, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.of_top, other.of_top)
    with pytest.raises(UserError, match="confidence of 1 "):
        at_least(*sides, confidence=1.0)
    with pytest.raises(UserError, match="no images"):
        PatientGroup(np.zeros(0))


def test_the_count_alone_is_that_of_the_whole_list():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.6):
        scores = np.r_[rng.normal(3, 1, round(200 * share)), rng.normal(size=200)]
        sides = PatientGroup(scores), PatientGroup(rng.normal(size=80))
        whole, alone = at_least(*sides), at_least(*sides, lists=False)
        assert alone.count == whole.count == alone.of_top[-1]
        assert (share > 0) == (whole.count > 0)
