from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from memtk.errors import UserError
from memtk.memorization import (
    Limits,
    PatientGroup,
    Sizes,
    at_least,
    benjamini_hochberg,
    best_case,
    best_threshold,
    clopper_pearson,
    copy_rate,
    exposed_interval,
    p_values,
)

SIZES = Sizes(training=80, validation=60, synthetic=150, planted=40)


@pytest.fixture(scope="module")
def found():
    return best_case(SIZES)


def bound(tested, planted, level):
    """The level's quantile of Beta(1, M) / Beta(K, 1): 0 of M flagged, K of K planted found."""
    s = ((np.arange(20_000) + 0.5) / 20_000) ** (1 / planted)
    return brentq(lambda x: np.mean((1 - x * s) ** tested) - (1 - level), 0, 1)


def test_the_best_bounds_are_those_of_nothing_flagged_in_closed_form(found):
    assert found.copy_rate_bound == pytest.approx(bound(150, 40, 0.95), rel=0.03)
    assert found.unseen_patients == int(80 * bound(80, 40, 0.975))


def test_nine_of_ten_audits_of_strangers_stay_within_the_likely_bounds(found):
    """Independently: patients are points, similarities their nearest neighbours' cosines."""
    rng = np.random.default_rng(0)
    planted = PatientGroup(np.full(40, 1.0))

    def unit(count):
        x = rng.normal(size=(count, 16))
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    rates, patients = [], []
    for _ in range(40):
        training, validation, synthetic = unit(80), unit(60), unit(150)
        strangers = PatientGroup((validation @ training.T).max(1))
        back = (synthetic @ training.T).max(1)
        threshold = best_threshold(strangers, planted, 150)
        rates.append(copy_rate(back, strangers, planted, threshold=threshold).upper_bound)
        unseen = PatientGroup((validation @ synthetic.T).max(1))
        seen = PatientGroup((training @ synthetic.T).max(1))
        patients.append(exposed_interval(seen, unseen, planted).high)
    assert np.mean(np.array(rates) <= found.likely_copy_rate_bound * 1.02) > 0.78  # 0.9 - 2.5 s.e.
    assert np.mean(np.array(patients) <= found.likely_unseen_patients) > 0.78
    assert min(rates) > found.copy_rate_bound * 0.97
    assert min(patients) >= found.unseen_patients


def test_a_pass_is_out_of_reach_below_the_least_sizes_and_within_it_from_there_on():
    least = best_case(replace(SIZES, training=200, synthetic=400, planted=100)).least
    assert (least.validation, least.planted) == (19, 17)
    assert clopper_pearson(17, 17).low >= 0.8 > clopper_pearson(16, 16).low
    assert p_values(np.ones(1), np.zeros(19)) <= 0.05 < p_values(np.ones(1), np.zeros(18))
    assert bound(least.synthetic, 100, 0.95) <= 0.0505 and bound(57, 100, 0.95) > 0.05
    wide = Sizes(training=200, validation=100, synthetic=400, planted=100)
    assert best_case(wide).can_pass
    for name in ("training", "validation", "synthetic", "planted"):
        below = {name: getattr(least, name) - 2}
        if name == "training":
            below["planted"] = 58
        assert not best_case(replace(wide, **below)).can_pass, name


def test_a_pass_is_likely_from_the_needed_validation_patients_on():
    wide = Sizes(training=200, validation=30, synthetic=300, planted=100)
    needed = best_case(wide).validation_needed
    assert needed is not None and 60 < needed < 200
    assert best_case(replace(wide, validation=needed)).likely_pass
    assert not best_case(replace(wide, validation=int(0.8 * needed))).likely_pass


def test_more_patients_and_images_show_more(found):
    for more in (replace(SIZES, validation=200), replace(SIZES, synthetic=600)):
        assert best_case(more).likely_copy_rate_bound < found.likely_copy_rate_bound
    assert best_case(SIZES, Limits(confidence=0.99)).copy_rate_bound > found.copy_rate_bound


@pytest.mark.parametrize(("tested", "validation"), [(60, 30), (100, 12), (40, 80)])
def test_so_few_are_counted_as_at_least_one_and_no_fewer(tested, validation):
    counted = best_case(Sizes(30, validation, tested, 10)).copies.counted
    ranks = PatientGroup(np.arange(1, validation + 1) / (validation + 1))

    def count(beyond):
        rest = (np.arange(tested - beyond) + 0.5) / (tested - beyond)
        return at_least(PatientGroup(np.r_[np.full(beyond, 2.0), rest]), ranks).count

    assert count(counted + 1) > 0 and count(max(counted - 2, 0)) == 0


@pytest.mark.parametrize(("tested", "validation"), [(100, 12), (30, 19), (5, 60), (7, 5)])
def test_by_ranks_so_few_are_flagged_by_brute_force(tested, validation):
    fewest = best_case(Sizes(30, validation, tested, 10)).copies
    flagged = [
        k
        for k in range(1, tested + 1)
        if benjamini_hochberg(np.r_[np.full(k, 1 / (validation + 1)), np.ones(tested - k)]).any()
    ]
    assert fewest.by_ranks == (flagged[0] if flagged else None)
    assert fewest.names_by == {12: "ranks", 19: "ranks", 5: "ranks", 60: "gumbel"}[validation]
    assert fewest.named == (1 if validation >= 20 else fewest.by_ranks)


def test_nothing_passes_without_planted_copies_or_with_a_limit_of_zero():
    alone = best_case(replace(SIZES, planted=0))
    assert not alone.can_pass and alone.unseen_patients == 80 and alone.sensitivity_low == 0
    strict = best_case(SIZES, Limits(copy_rate=0, unseen_patients=0))
    assert not strict.can_pass and strict.least.synthetic == 0 and strict.least.training == 0


def test_without_patients_or_images_it_is_refused():
    with pytest.raises(UserError, match="at least one of each"):
        best_case(replace(SIZES, synthetic=0))
