import numpy as np
import pytest
from scipy.stats import beta, binom, kstest, norm

from memtk.errors import UserError
from memtk.intervals import clopper_pearson
from memtk.memorization import (
    CopyRate,
    PatientGroup,
    best_threshold,
    copy_rate,
    exposed_interval,
    left_out,
    p_values,
)


def rated(test, validation, people, found, owners=None, **more):
    strangers = PatientGroup(validation, people, "validation images")
    return copy_rate(test, strangers, PatientGroup(found, owners, "planted copies"), **more)


def scores(rng, sizes):
    """Similarities of patients whose images are alike, and whose they are."""
    people = np.repeat(np.arange(len(sizes)), sizes)
    return (rng.normal(size=len(sizes))[people] + rng.normal(size=len(people))) / 2**0.5, people


def audit(rng, rate, patients, tested, sensitivity, several, draws=600):
    """One audit of strangers and copies; the latter exceed the 95% quantile with `sensitivity`."""
    away = norm.ppf(0.95) - norm.ppf(1 - sensitivity)
    sizes = rng.integers(1, 6, patients) if several else np.ones(patients, int)
    validation, people = scores(rng, sizes)
    copies = rng.binomial(tested, rate)
    test = np.r_[rng.normal(size=copies) + away, rng.normal(size=tested - copies)]
    found, owners = scores(rng, rng.integers(1, 4, 60) if several else np.ones(60, int))
    return rated(test, validation, people, found + away, owners, draws=draws)


@pytest.mark.parametrize(
    ("patients", "tested", "sensitivity", "several"),
    [(20, 250, 0.7, True), (60, 60, 0.95, False), (60, 1000, 0.7, False), (130, 250, 0.95, True)],
)
@pytest.mark.parametrize("rate", [0, 0.01, 0.05, 0.2, 0.5])
def test_the_interval_and_the_bound_cover_the_truth(rate, patients, tested, sensitivity, several):
    rng = np.random.default_rng([patients, tested, int(100 * rate)])
    said = [audit(rng, rate, patients, tested, sensitivity, several) for _ in range(60)]
    assert np.mean([one.low <= rate <= one.high for one in said]) >= 0.9
    assert np.mean([one.upper_bound >= rate for one in said]) >= 0.9
    assert abs(np.mean([one.estimate for one in said]) - rate) < 0.035


def test_the_resampled_false_positive_rate_has_its_exact_distribution():
    rng = np.random.default_rng(0)
    said = rated(np.ones(50), rng.random(60), None, np.ones(2000), seed=1)
    assert said.level == said.false_positive_rate == pytest.approx(3 / 61)
    # everything is flagged and found: r = (1 - f) / (1 - f), whatever f
    assert (said.estimate, said.high) == (1, 1)
    # a large M leaves f alone: 1 - F of the third largest of 60 is Beta(3, 58)
    test, found = np.repeat([2.0, -1.0], [60_000, 140_000]), np.full(20_000, 2.0)
    for confidence in (0.5, 0.95):
        one = rated(test, rng.random(60), None, found, confidence=confidence)
        tail = (1 - confidence) / 2
        f = beta.ppf([1 - tail, tail], 3, 58)
        assert (one.low, one.high) == pytest.approx((0.3 - f) / (1 - f), abs=4e-3)


@pytest.mark.parametrize(
    ("attacks", "risk"),
    [
        ((2000, 700, 2000, 100), (0.3155, 0.2924, 0.3385)),
        ((1000, 60, 2000, 40), (0.0416, 0.0254, 0.0579)),
        ((5000, 4500, 1000, 50), (0.8942, 0.8853, 0.9031)),
    ],
)
def test_where_no_planted_copy_is_missed_it_is_the_residual_risk_of_anonymeter(attacks, risk):
    """Its figures are those of `anonymeter` 1.1.0: `EvaluationResults(...).risk()`."""
    tested, flagged, control, wrong = attacks
    said = rated(
        np.arange(tested) < flagged,
        (np.arange(control) < wrong).astype(float),
        None,
        np.ones(20_000),
        threshold=0.5,
    )
    assert (said.estimate, said.low, said.high) == pytest.approx(risk, abs=0.002)


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.11])
def test_the_expected_false_positive_rate_is_unbiased_with_several_images(alpha):
    rng = np.random.default_rng(0)
    off = []
    for _ in range(300):
        validation, people = scores(rng, rng.integers(1, 6, 40))
        flagged = p_values(rng.normal(size=200), validation, people) <= max(alpha, 1 / 41)
        said = rated(np.zeros(1), validation, people, np.ones(1), alpha=alpha, draws=1)
        off.append(said.false_positive_rate - flagged.mean())
    assert abs(np.mean(off)) < 0.0025 + 3 * np.std(off) / 300**0.5


def test_each_patient_left_out_is_tested_against_the_others():
    rng = np.random.default_rng(0)
    for people in (rng.integers(0, 9, 30), np.arange(30)):
        validation = rng.integers(0, 12, 30) / 7
        found = left_out(validation, people)
        count = len(set(people))
        for i in range(30):
            others = people != people[i]
            expected = p_values(validation[[i]], validation[others], people[others])[0]
            assert (1 + found[i]) / count == pytest.approx(expected, abs=1e-12)
    assert left_out(np.array([3.0, 1.0, 2.0])).tolist() == [0, 2, 1]


def test_the_flagged_share_beyond_the_order_statistic_is_beta():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        validation = rng.random(60)
        threshold = max(v for v in validation if p_values([v], validation)[0] > 0.05)
        shares.append(1 - threshold)
    assert kstest(shares, beta(3, 58).cdf).pvalue > 0.01


def test_without_strangers_above_the_threshold_it_is_clopper_pearson():
    strangers, found = np.linspace(0, 0.5, 20_000), np.ones(20_000)
    said = rated(np.repeat([1.0, 0.0], [7, 93]), strangers, None, found, alpha=5e-5)
    exact = clopper_pearson(7, 100)
    assert (said.low, said.high) == pytest.approx((exact.low, exact.high), abs=3e-3)
    assert said.upper_bound == pytest.approx(clopper_pearson(7, 100, 0.9).high, abs=3e-3)
    # with every flag certain the sensitivity alone is left: 30 of 40
    test, found = np.repeat([1.0, 0.0], [6_000, 14_000]), np.repeat([1.0, 0.0], [30, 10])
    said = rated(test, strangers, None, found, alpha=5e-5)
    exact = clopper_pearson(30, 40)
    assert (said.low, said.high) == pytest.approx((0.3 / exact.high, 0.3 / exact.low), abs=0.01)


def test_the_planted_copies_are_resampled_by_patient():
    strangers, test = np.linspace(0, 0.5, 10**4), np.r_[np.ones(300), np.zeros(700)]
    found = np.tile([1.0, 1.0, 1.0, 0.0], 50)
    alone = rated(test, strangers, None, found, alpha=1e-4)
    alike = np.sort(found)  # each patient's four planted copies are found or missed together
    people = np.arange(200) // 4
    together = rated(test, strangers, None, alike, people, alpha=1e-4)
    assert together.sensitivity == alone.sensitivity == 0.75
    assert together.high - together.low > 1.3 * (alone.high - alone.low)


def test_when_nothing_is_flagged_the_bound_is_useful_and_depends_on_the_sensitivity():
    strangers, nothing = np.linspace(0, 0.5, 60), np.zeros(250)
    strong = rated(nothing, strangers, None, np.ones(100))
    weak = rated(nothing, strangers, None, np.r_[np.ones(40), np.zeros(60)])
    assert strong.estimate == strong.low == weak.estimate == 0
    exact = 1 - 0.05 ** (1 / 250)  # of 0 out of 250, were every copy found: no less is claimed
    assert exact * 0.95 < strong.upper_bound < exact * 1.05
    assert exact * 2.2 < weak.upper_bound < exact * 3
    assert strong.upper_bound < strong.high


def test_the_synthetic_images_have_no_say_in_the_threshold_of_the_bound():
    rng = np.random.default_rng(0)
    strangers, found = rng.normal(size=60), rng.normal(size=80) + 4
    levels = {
        rated(rng.normal(size=100) + away, strangers, None, found).bound_level
        for away in (-3, 0, 1, 3)
    }
    assert levels == {1 / 61}
    # copies that rarely exceed every validation image are better bounded at alpha
    found = np.r_[np.full(70, np.sort(strangers)[-2]), np.full(10, 99)]
    said = rated(rng.normal(size=100), strangers, None, found)
    assert said.bound_level == said.level == 3 / 61


def test_too_few_validation_patients_take_the_finest_threshold_and_say_so():
    rng = np.random.default_rng(0)
    said = rated(np.r_[np.full(20, 9.0), np.zeros(80)], rng.random(10), None, np.full(50, 9.0))
    assert said.coarse and said.level == said.bound_level == 1 / 11
    assert said.low < 0.2 < said.high
    enough = rated(np.zeros(5), rng.random(19), None, np.ones(5))
    assert not enough.coarse and enough.level == 0.05


def test_a_detector_that_finds_nothing_tells_nothing():
    strangers = np.linspace(0, 1, 60)
    for test, estimate in ((np.zeros(50), 0), (np.full(50, 2.0), 1)):
        said = rated(test, strangers, None, np.zeros(50))
        assert (said.estimate, said.low, said.high, said.upper_bound) == (estimate, 0, 1, 1)


def test_the_same_seed_gives_the_same_numbers_and_another_nearly():
    def again(seed):
        rng = np.random.default_rng(3)
        validation, people = scores(rng, rng.integers(1, 5, 60))
        test, found = rng.normal(size=100) + 0.5, rng.normal(size=60) + 3
        return rated(test, validation, people, found, seed=seed)

    assert again(5) == again(5) != again(6)
    assert again(5).high == pytest.approx(again(6).high, abs=0.01)
    assert isinstance(again(5), CopyRate)


def test_images_at_the_threshold_are_not_flagged_and_neither_are_p_values_above_alpha():
    rng = np.random.default_rng(0)
    for _ in range(50):
        people = rng.integers(0, 40, 90)
        validation, test = rng.integers(0, 30, 90) / 7, rng.integers(0, 32, 60) / 7
        flagged = (p_values(test, validation, people) <= 0.05).mean()
        said = rated(test, validation, people, np.full(9, 99.0), draws=10)
        excess = (flagged - said.false_positive_rate) / (1 - said.false_positive_rate)
        assert said.estimate == pytest.approx(max(excess, 0))


def test_binomial_counts_of_strangers_alone_rarely_look_like_copies():
    rng = np.random.default_rng(0)
    said = [audit(rng, 0, 60, 250, 0.9, False) for _ in range(100)]
    positive = sum(one.low > 0 for one in said)
    assert positive <= binom.ppf(0.999, 100, 0.025)


def test_what_does_not_fit_is_refused():
    ok = np.zeros(3)
    with pytest.raises(UserError, match="alpha = 0 "):
        rated(ok, ok, None, ok, alpha=0)
    with pytest.raises(UserError, match="confidence = 1:"):
        rated(ok, ok, None, ok, confidence=1)
    with pytest.raises(UserError, match="no synthetic images"):
        rated(ok[:0], ok, None, ok)
    with pytest.raises(UserError, match="no planted copies"):
        rated(ok, ok, None, ok[:0])
    with pytest.raises(UserError, match="3 planted copies but 2 patients"):
        rated(ok, ok, None, ok, ["a", "b"])
    with pytest.raises(UserError, match="3 validation images but 2 patients"):
        rated(ok, ok, ["a", "b"], ok)


def test_the_bound_covers_copies_that_are_less_like_their_originals_than_planted_ones():
    rng, rate, said = np.random.default_rng(5), 0.3, []
    for _ in range(60):
        strangers, found = rng.normal(size=60), rng.normal(size=100) + 8
        copies = rng.binomial(100, rate)
        blurred = np.sort(strangers)[-2:].mean() + np.zeros(
            copies
        )  # beyond alpha's threshold alone
        said.append(rated(np.r_[blurred, rng.normal(size=100 - copies)], strangers, None, found))
    assert np.mean([one.upper_bound >= rate for one in said]) >= 0.9
    assert all(one.upper_bound > one.estimate for one in said)


@pytest.mark.parametrize(
    ("patients", "away", "place"), [(100, 9.0, 1), (100, 0.5, 20), (20, 9.0, 1), (100, 1.6, 5)]
)
def test_the_threshold_is_high_where_copies_lie_beyond_the_strangers_and_low_where_not(
    patients, away, place
):
    quantiles = PatientGroup(norm.ppf((np.arange(patients) + 0.5) / patients))
    planted = PatientGroup(norm.ppf((np.arange(200) + 0.5) / 200) + away)
    found = best_threshold(quantiles, planted, 240)
    assert found == np.sort(quantiles.similarity)[-place]


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_the_interval_at_the_best_threshold_covers_and_is_shorter_where_copies_stand_out(rate):
    covered, widths, usual = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        copies = rng.binomial(240, rate)
        test = np.r_[rng.normal(size=copies) + 6, rng.normal(size=240 - copies)]
        sides = PatientGroup(rng.normal(size=60)), PatientGroup(rng.normal(size=100) + 6)
        limit = best_threshold(*sides, 240, draws=500)
        said = copy_rate(test, *sides, threshold=limit, draws=1000)
        assert not said.coarse and said.low <= said.estimate <= said.high
        covered.append(said.low <= copies / 240 <= said.high and said.upper_bound >= copies / 240)
        widths.append(said.high - said.low)
        other = copy_rate(test, *sides, draws=1000)
        usual.append(other.high - other.low)
    assert np.mean(covered) >= binom.ppf(0.01, 60, 0.95) / 60
    assert np.mean(widths) < 0.85 * np.mean(usual)


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.95])  # more than the third that is found
def test_planted_copies_that_are_harder_to_see_make_no_lower_end_above_the_truth(rate):
    rng = np.random.default_rng(int(100 * rate))
    wrong, lows = 0, []
    for _ in range(60):
        validation, copies = rng.normal(size=100), rng.binomial(150, rate)
        test = np.r_[rng.normal(size=copies) + 6, rng.normal(size=150 - copies)]  # all are seen
        found = np.where(rng.random(80) < 0.35, 6.0, -1.0)  # a third of the planted ones is
        said = rated(test, validation, None, found, draws=600)
        wrong += said.low > rate
        lows.append(said.low)
    assert wrong <= 6  # of 60; it was 60
    assert np.mean(lows) > 0.6 * rate, "and it says something"


@pytest.mark.parametrize("step", [0.1, 0.2])
def test_strangers_who_are_equally_near_make_no_upper_end_below_the_truth(step):
    """As of a similarity with few values: how many lie beyond the threshold is not known by it."""
    rate, covered = 0.1, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        validation, other = (np.round(rng.normal(0.3, 0.12, n) / step) * step for n in (60, 180))
        made, found = (np.where(rng.random(n) < 0.9, 0.95, 0.3) for n in (20, 60))
        tested = np.r_[made, other]
        strangers, planted = PatientGroup(validation), PatientGroup(found)
        threshold = best_threshold(strangers, planted, len(tested))
        said = copy_rate(tested, strangers, planted, threshold=threshold, draws=1000)
        people = exposed_interval(PatientGroup(tested), strangers, planted)
        covered.append((said.low <= rate <= said.high, said.upper_bound >= rate, people.high >= 20))
    assert (np.mean(covered, axis=0) >= 0.9).all()
