"""Readers against rules and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_of_statsmodels
from statsmodels.stats.proportion import proportion_confint

from memtk.errors import UserError
from memtk.memorization import (
    PatientGroup,
    ReadPairs,
    best_agreement,
    cohen_kappa,
    copy_rate,
    fleiss_kappa,
)

LABELS = ("novel", "copy", "unsure")


@pytest.mark.parametrize("seed", range(20))
def test_kappa_of_two_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    first = rng.choice(LABELS, 40, p=[0.5, 0.4, 0.1])
    second = np.where(rng.random(40) < 0.7, first, rng.choice(LABELS, 40))
    assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


@pytest.mark.parametrize("readers", [2, 3, 6])
def test_kappa_of_several_is_that_of_statsmodels(readers):
    rng = np.random.default_rng(readers)
    truth = rng.choice(LABELS, 50, p=[0.5, 0.4, 0.1])
    labels = [np.where(rng.random(50) < 0.6, truth, rng.choice(LABELS, 50)) for _ in range(readers)]
    table, _ = aggregate_raters(np.array(labels).T)
    assert fleiss_kappa(labels) == pytest.approx(fleiss_of_statsmodels(table))


def test_kappa_is_not_defined_where_all_give_one_label_or_nothing_was_read():
    assert cohen_kappa(["copy"] * 3, ["copy"] * 3) is None and cohen_kappa([], []) is None
    assert fleiss_kappa([["copy"], ["copy"]]) is None and fleiss_kappa([[], []]) is None


def pairs_of(flags, copy, stratum, sizes):
    return ReadPairs(np.asarray(flags, float), np.asarray(copy), np.asarray(stratum), sizes)


@pytest.mark.parametrize(("found", "missed"), [(0, 7), (31, 9), (1, 1), (24, 0), (60, 40)])
def test_the_interval_of_a_random_draw_is_that_of_clopper_and_pearson(found, missed):
    copy = np.ones(found + missed, dtype=bool)
    pairs = pairs_of(copy, copy, np.zeros(len(copy), int), np.array([99]))
    said = pairs.proportion(np.arange(len(copy)) < found, copy)
    ends = proportion_confint(found, found + missed, method="beta")
    assert (said.low, said.high) == pytest.approx(ends, abs=1e-9)


def test_melded_over_one_stratum_it_is_clopper_and_pearson_again():
    copy = np.ones(40, dtype=bool)
    part = np.arange(40) < 31
    sizes = np.array([99, 1])  # of the second stratum nothing was read, and it hardly counts
    said = pairs_of(copy, copy, np.zeros(40, int), sizes * 10**6 + [0, -999_999])
    ends = proportion_confint(31, 40, method="beta")
    found = said.proportion(part, copy)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.01)


def test_weights_undo_the_strata_of_the_draw():
    """40 of 400 far pairs are copies that are missed, 90 of 100 near ones copies that are found."""
    stratum = np.repeat([0, 1], 50)
    copy = np.r_[np.arange(50) < 5, np.arange(50) < 45]
    flags = stratum == 1
    pairs = pairs_of(flags, copy, stratum, np.array([400, 100]))
    found = pairs.proportion(flags & copy, copy)
    assert (found.count, found.n) == (45, 50)
    assert found.rate == pytest.approx(90 / 130)
    assert found.low < 90 / 130 < found.high
    assert pairs.proportion(copy, np.ones(100, bool)).rate == pytest.approx(130 / 500)


def test_read_pairs_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="one similarity, label and stratum"):
        pairs_of([1.0], [True], [1], np.array([3]))
    with pytest.raises(UserError, match="one similarity, label and stratum"):
        pairs_of([1.0, 2.0], [True], [0], np.array([3]))


def test_the_best_threshold_is_that_of_all_thresholds_tried():
    rng = np.random.default_rng(0)
    similarity = np.round(rng.random(60), 2)  # some are equal
    copy = similarity + rng.normal(0, 0.2, 60) > 0.6
    stratum, sizes = rng.integers(0, 3, 60), np.array([30, 300, 60])
    found = best_agreement(pairs_of(similarity, copy, stratum, sizes))
    weight = (sizes / np.bincount(stratum))[stratum]
    tried = [
        np.average((similarity > cut) == copy, weights=weight) for cut in np.arange(-1, 2, 0.005)
    ]
    assert found.agreement == pytest.approx(max(tried))
    assert np.average((similarity > found.similarity) == copy, weights=weight) == pytest.approx(
        max(tried)
    )
    assert found.low <= found.similarity <= found.high


def test_the_interval_of_the_best_threshold_covers_it_and_shrinks_with_more_pairs():
    widths = {}
    for n in (60, 600):
        covered, widths[n] = [], []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            copy = rng.random(n) < 0.5
            similarity = rng.normal(copy * 2.0, 1)  # equal bells: they cross half way, at 1
            pairs = pairs_of(similarity, copy, np.zeros(n, int), np.array([n]))
            found = best_agreement(pairs, draws=200)
            covered.append(found.low <= 1.0 <= found.high)
            widths[n].append(found.high - found.low)
        assert np.mean(covered) >= 0.85
    assert np.mean(widths[600]) < 0.7 * np.mean(widths[60])


@pytest.mark.parametrize("n", [35, 44, 97])
def test_a_threshold_that_agrees_on_all_pairs_agrees_on_exactly_all(n):
    similarity = np.arange(n) / n
    found = best_agreement(pairs_of(similarity, similarity > 0.4, [0] * n, np.array([n + 32])))
    assert found.agreement == 1.0


def test_readers_of_one_kind_alone_have_no_best_threshold():
    mixed = np.array([0.1, 0.2, 0.3]), np.array([True, True, False])
    found = best_agreement(pairs_of(*mixed, [0, 0, 0], np.array([3])))
    assert ((mixed[0] > found.similarity) == mixed[1]).mean() == found.agreement == 2 / 3
    assert best_agreement(pairs_of([0.1, 0.9], [True, True], [0, 0], np.array([2]))) is None


def test_the_copy_rate_is_right_by_readers_where_planted_copies_are_found_too_easily():
    """A third of the generator's copies lie among the strangers, planted ones all beyond."""
    right = {"planted": [], "readers": []}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        copy = rng.random(400) < 0.3
        hard = copy & (rng.random(400) < 1 / 3)
        near = rng.normal(copy * 8.0 - hard * 8.0, 1)
        strangers = PatientGroup(rng.normal(0, 1, 100))
        planted = PatientGroup(rng.normal(8, 1, 100))
        which = rng.choice(400, 150, replace=False)
        read = ReadPairs(near[which], copy[which], np.zeros(150, int), np.array([400]))
        for name, group in (("planted", planted), ("readers", read)):
            rate = copy_rate(near, strangers, group, threshold=4.0, seed=seed, draws=2000)
            right[name].append(rate.low <= 0.3 <= rate.high)
    assert np.mean(right["planted"]) < 0.2 and np.mean(right["readers"]) >= 0.95
