import gc
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from memtk.errors import UserError
from memtk.memorization import benjamini_hochberg, conformal, holm, p_values


def by_definition(test, validation, patients):
    found = []
    for value in test:
        total = Fraction(1)
        for patient in set(patients):
            own = [v for v, p in zip(validation, patients, strict=True) if p == patient]
            total += Fraction(sum(v >= value for v in own), len(own))
        found.append(float(total / (len(set(patients)) + 1)))
    return np.array(found)


@pytest.mark.parametrize("levels", [4, 1000])
@pytest.mark.parametrize("people", [1, 3, 12])
def test_p_values_are_what_their_definition_says(levels, people):
    rng = np.random.default_rng(people)
    validation, test = rng.integers(0, levels, 50) / 7, rng.integers(-1, levels + 1, 40) / 7
    patients = [f"p{i}" for i in rng.integers(0, people, 50)]
    expected = by_definition(test, validation, patients)
    np.testing.assert_array_equal(p_values(test, validation, patients), expected)


def test_one_image_a_patient_gives_the_plain_p_value():
    rng = np.random.default_rng(0)
    validation, test = rng.normal(size=30), rng.normal(size=20)
    plain = (1 + (validation >= test[:, None]).sum(1)) / 31
    np.testing.assert_array_equal(p_values(test, validation), plain)
    np.testing.assert_array_equal(p_values(test, validation, range(30)), plain)
    np.testing.assert_array_equal(p_values(test, validation, ()), plain)


def test_a_single_validation_image_gives_a_half_or_one():
    assert p_values(np.array([0.9, 0.5, 0.1]), np.array([0.5])).tolist() == [0.5, 1.0, 1.0]


def test_rejections_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for size in (1, 2, 17, 200):
        for power in (1, 3, 8):
            p = rng.random(size) ** power
            for fdr in (0.05, 0.1, 0.5):
                expected = false_discovery_control(p) <= fdr
                np.testing.assert_array_equal(benjamini_hochberg(p, fdr), expected)
    assert benjamini_hochberg(np.array([])).tolist() == []


def test_rounding_does_not_decide_a_rejection():
    for total in range(3, 200):
        p = np.ones(total)
        p[:3] = 3 * 0.1 / total  # exactly the limit of the third
        assert benjamini_hochberg(p, 0.1).sum() == 3


def test_strangers_are_flagged_at_the_expected_rate():
    rng = np.random.default_rng(0)
    sides = [conformal(rng.random(40), rng.random(60)) for _ in range(300)]
    mean = np.mean([side.flagged_fraction for side in sides])
    assert mean == pytest.approx(sides[0].expected_fraction, abs=0.01)
    assert sides[0].expected_fraction == pytest.approx(3 / 61)
    assert np.mean([side.n_flagged > 0 for side in sides]) <= 0.12  # at most fdr


def test_the_expected_fraction_is_the_largest_p_value_within_alpha():
    for patients in range(1, 130):
        for alpha in (0.01, 0.05, 0.07, 0.1, 0.29):
            possible = np.arange(patients + 2) / (patients + 1)
            side = conformal(np.zeros(1), np.zeros(patients), alpha=alpha)
            assert side.expected_fraction == possible[possible <= alpha].max()


def test_fewest_is_the_smallest_number_that_can_be_flagged():
    for patients in (5, 9, 19, 60):
        for tested in (1, 5, 30, 60):
            side = conformal(np.zeros(tested), np.arange(1.0, patients + 1))
            able = [
                k
                for k in range(1, tested + 1)
                if conformal(np.r_[np.full(k, 99.0), np.zeros(tested - k)],
                             np.arange(1.0, patients + 1)).n_flagged
            ]  # fmt: skip
            assert side.can_reject == bool(able)
            assert side.min_detectable == able[0] if able else side.min_detectable > tested
            assert side.min_p == 1 / (patients + 1)


def test_copies_are_flagged_and_strangers_are_not():
    side = conformal(np.r_[np.full(20, 0.99), np.zeros(20)], np.linspace(0, 0.9, 99))
    assert side.flagged.tolist() == [True] * 20 + [False] * 20
    assert (side.n_flagged, side.flagged_fraction) == (20, 0.5)


def test_what_cannot_be_tested_is_refused():
    ok = np.zeros(3)
    with pytest.raises(UserError, match="alpha = 0 "):
        conformal(ok, ok, alpha=0)
    with pytest.raises(UserError, match="fdr = 1:"):
        conformal(ok, ok, fdr=1)
    with pytest.raises(UserError, match="no image to test"):
        conformal(ok[:0], ok)
    with pytest.raises(UserError, match="no validation image"):
        conformal(ok, ok[:0])
    with pytest.raises(UserError, match="3 validation images but 2 patients"):
        conformal(ok, ok, ["a", "b"])


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_both_procedures_are_those_of_statsmodels(level, monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # its Holm does so each time
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for count in (1, 2, 10, 50):
        for _ in range(40):
            p = rng.choice([rng.random(count) ** 3, rng.integers(1, 8, count) / 100])
            for ours, method in ((benjamini_hochberg, "fdr_bh"), (holm, "holm")):
                expected = multitest.multipletests(p, level, method)[0]
                np.testing.assert_array_equal(ours(p, level), expected)
