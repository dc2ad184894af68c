"""AUC and low false positive rates of attacks, against scikit-learn, DeLong and chance."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, binomtest, mannwhitneyu

from memtk.errors import UserError
from memtk.memorization import (
    auc,
    epsilon_lower_bound,
    guesses_for,
    membership,
    right_guesses,
    roc,
    scores_of,
    tpr_at_fpr,
)


def drawn(seed, p=30, q=25, shift=1.0, ties=False):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(shift, 1, p), rng.normal(0, 1, q)
    return (a.round(), b.round()) if ties else (a, b)


@pytest.mark.parametrize("ties", [False, True])
def test_the_auc_is_that_of_mann_and_whitney_and_of_scikit_learn(ties):
    metrics = pytest.importorskip("sklearn.metrics")
    a, b = drawn(0, ties=ties)
    found = auc(scores_of(a), scores_of(b)).estimate
    u = mannwhitneyu(a, b).statistic
    labels = np.r_[np.ones(len(a)), np.zeros(len(b))]
    assert found == pytest.approx(u / (len(a) * len(b)))
    assert found == pytest.approx(metrics.roc_auc_score(labels, np.r_[a, b]))


def delong(a, b):
    """Variance by the definition, pair by pair (DeLong et al. 1988, equations 5 to 7)."""
    psi = (a[:, None] > b).astype(float) + 0.5 * (a[:, None] == b)
    return psi.mean(1).var(ddof=1) / len(a) + psi.mean(0).var(ddof=1) / len(b)


def test_the_interval_holds_that_of_delong_on_the_logit_scale():
    a, b = drawn(1, p=200, q=200)
    found = auc(scores_of(a), scores_of(b))
    middle, spread = found.estimate, delong(a, b) ** 0.5
    reach = 1.959964 * spread / (middle * (1 - middle))
    logit = np.log(middle / (1 - middle))
    ends = 1 / (1 + np.exp(-(logit + np.array([-reach, reach]))))
    assert found.low <= ends[0] + 1e-6 and found.high >= ends[1] - 1e-6
    # with so many, the two intervals hardly differ
    assert found.low == pytest.approx(ends[0], abs=0.01)
    assert found.high == pytest.approx(ends[1], abs=0.01)


def test_the_interval_holds_the_truth_as_often_as_it_promises():
    from scipy.stats import norm

    for shift in (0.0, 2.0):
        truth = norm.cdf(shift / 2**0.5)
        kept = 0
        for seed in range(400):
            found = auc(*map(scores_of, drawn((seed, 7), 15, 15, shift)))
            kept += found.low <= truth <= found.high
        assert binomtest(kept, 400, 0.95, alternative="less").pvalue > 0.01, (shift, kept)


def test_sets_that_do_not_overlap_leave_doubt():
    found = auc(scores_of(np.arange(5, 10)), scores_of(np.arange(5)))
    assert found.estimate == 1 and found.high == 1 and 0.5 < found.low < 0.9


def test_a_patient_counts_once_whatever_the_number_of_images():
    a, b = drawn(2)
    people = [f"p{i}" for i in range(len(a))]
    twice = membership(np.r_[a, a[:5]], b, people + people[:5], None)
    once = membership(a, b)
    assert twice.members == len(a)
    for one, other in ((twice.auc, once.auc), (twice.tpr_at_fpr.rate, once.tpr_at_fpr.rate)):
        assert vars(one) == pytest.approx(vars(other))


def test_images_of_one_patient_do_not_narrow_the_interval():
    a, b = drawn(3, 10, 10)
    blind = membership(np.repeat(a, 20), np.repeat(b, 20)).auc
    seen = membership(
        np.repeat(a, 20),
        np.repeat(b, 20),
        np.repeat(np.arange(10), 20).tolist(),
        np.repeat(np.arange(100, 110), 20).tolist(),
    ).auc
    assert seen.estimate == pytest.approx(blind.estimate)
    assert seen.high - seen.low > 2 * (blind.high - blind.low)


def test_at_one_per_cent_the_threshold_lets_one_of_a_hundred_pass():
    others = np.arange(200.0)
    members = np.array([197.5, 196.0, 250.0, 3.0])
    found = tpr_at_fpr(scores_of(members), scores_of(others))
    assert found.fpr == 0.01 and found.reason == "" and found.reached == pytest.approx(0.01)
    assert found.rate.estimate == 0.5  # 197.5 and 250 lie above the third highest, 197
    exact = binomtest(2, 4).proportion_ci(method="exact")
    assert (found.rate.low, found.rate.high) == pytest.approx((exact.low, exact.high))


def test_ties_at_the_threshold_are_no_false_alarms():
    found = tpr_at_fpr(scores_of(np.array([1.0, 2.0])), scores_of(np.ones(150)))
    assert found.reached == 0 and found.rate.estimate == 0.5


def test_a_rate_that_the_patients_cannot_carry_is_refused_in_words():
    found = membership(np.arange(50.0), np.arange(36.0)).tpr_at_fpr
    said = "a false positive rate of 1% is not measurable with 36 non-member patients"
    assert found.reason == said
    assert found.fpr == pytest.approx(1 / 36) and found.reached == pytest.approx(1 / 36)
    many = membership(np.arange(50.0), np.arange(360.0), None, [i // 10 for i in range(360)])
    assert "36 non-member patients" in many.tpr_at_fpr.reason


def test_one_patient_is_too_few_for_any_figure():
    found = membership(np.arange(5.0), np.arange(4.0), None, ["a"] * 4)
    assert found.auc is None and found.tpr_at_fpr is None
    assert found.reason == "not measurable with 1 non-member patient: at least 2 are needed"
    assert "1 member patient" in membership(np.ones(1), np.arange(4.0)).reason


def test_the_roc_curve_is_that_of_scikit_learn_and_holds_the_auc():
    metrics = pytest.importorskip("sklearn.metrics")
    a, b = drawn(4, ties=True)
    fpr, tpr = roc(scores_of(a), scores_of(b))
    labels = np.r_[np.ones(len(a)), np.zeros(len(b))]
    want = metrics.roc_curve(labels, np.r_[a, b], drop_intermediate=False)
    assert np.allclose(fpr, want[0]) and np.allclose(tpr, want[1])
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(scores_of(a), scores_of(b)).estimate)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((np.ones(2), np.ones(2), ["a", "b"], ["b", "c"]), "1 patients are members and non"),
        ((np.ones(0), np.ones(2)), "no members"),
        ((np.array([1, np.nan]), np.ones(2)), "not finite"),
        ((np.ones(2), np.ones(2), ["a"]), "2 members but 1 patients"),
    ],
)
def test_what_makes_no_sense_is_refused(asked, said):
    with pytest.raises(UserError, match=said):
        membership(*asked)


def test_rates_outside_of_zero_and_one_are_refused():
    with pytest.raises(UserError, match="between 0 and 1"):
        membership(np.arange(3.0), np.arange(3.0), fpr=0.0)
    with pytest.raises(UserError, match="two of each"):
        auc(scores_of(np.arange(3.0)), scores_of(np.arange(3.0)), confidence=1.0)


@pytest.mark.parametrize(("members", "others"), [(200, 36), (64, 36), (100, 200)])
def test_without_a_signal_the_rate_is_its_chance_and_the_p_value_is_one(members, others):
    rates, p = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        found = membership(rng.normal(size=members), rng.normal(size=others)).tpr_at_fpr
        rates.append(found.rate.estimate)
        p.append(found.p)
        assert found.chance.estimate == pytest.approx((found.reached * others + 1) / (others + 1))
        assert found.chance.low < found.chance.estimate < found.chance.high
    error = np.std(rates) / 20
    assert abs(np.mean(rates) - found.chance.estimate) < 3.5 * error
    assert np.mean(np.array(p) <= 0.05) <= 0.08


def test_the_chance_of_a_rate_is_that_of_draws():
    found = membership(np.r_[np.full(6, 9.0), np.zeros(24)], np.arange(20.0) / 3).tpr_at_fpr
    rng = np.random.default_rng(0)
    above = rng.binomial(30, rng.beta(found.reached * 20 + 1, 20 * (1 - found.reached), 200_000))
    assert found.p == pytest.approx(np.mean(above >= 30 * found.rate.estimate), abs=0.004)


def published(m, r, v, epsilon, delta):
    """Steinke, Nasr and Jagielski, arXiv 2305.08846, appendix D."""
    q = 1 / (1 + np.exp(-epsilon))
    beta, alpha, total = binom.sf(v - 1, r, q), 0.0, 0.0
    for i in range(1, v + 1):
        total += binom.pmf(v - i, r, q)
        alpha = max(alpha, total / i)
    return min(beta + alpha * delta * 2 * m, 1)


@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-2])
@pytest.mark.parametrize("right", [12, 16, 20])
def test_the_bound_of_epsilon_is_the_published_one(delta, right):
    members = np.r_[np.ones(100), np.zeros(100)].astype(bool)
    scores = np.r_[np.full(10, 2.0), np.full(90, 1.0), np.full(90, 1.0), np.full(10, 0.0)]
    members[: 20 - right] = False  # so many of the 20 guesses are wrong
    found = epsilon_lower_bound(scores, members, guesses=[20], delta=delta)
    if found:
        assert published(200, 20, right, found, delta) == pytest.approx(0.05, rel=1e-6)
    else:
        assert published(200, 20, right, 0.0, delta) >= 0.05


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_the_bound_exceeds_the_epsilon_of_randomised_response_in_one_of_twenty_at_most(epsilon):
    bounds = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        members = rng.random(200) < 0.5
        said = np.where(rng.random(200) < expit(epsilon), members, ~members)
        bounds.append(epsilon_lower_bound(said + rng.random(200) / 2, members))
    assert np.mean(np.array(bounds) > epsilon) <= 0.08
    assert np.median(bounds) > epsilon / 4


@pytest.mark.parametrize("m", [10, 17, 40, 64, 200])
def test_the_bound_is_the_largest_epsilon_that_so_many_right_guesses_speak_against(m):
    rng = np.random.default_rng(m)
    members = rng.random(m) < 0.5
    scores = members + rng.normal(0, 0.3, m)
    tried, grid = guesses_for(m), np.linspace(0, 6, 6001)
    against = np.zeros(len(grid), dtype=bool)
    for r in tried:
        order = np.argsort(scores)
        right = (~members[order[: r // 2]]).sum() + members[order[::-1][: r // 2]].sum()
        assert right_guesses(scores, members, r) == right
        against |= binom.sf(right - 1, r, np.exp(grid) / (1 + np.exp(grid))) <= 0.05 / len(tried)
    brute = grid[against].max(initial=0.0)
    assert epsilon_lower_bound(scores, members, guesses=tried) == pytest.approx(brute, abs=2e-3)


def test_the_numbers_of_guesses_are_even_and_fit_and_of_both_kinds_there_are_as_many():
    rng = np.random.default_rng(0)
    for m in range(10, 400):
        tried = guesses_for(m)
        assert tried and all(r % 2 == 0 and 10 <= r <= m for r in tried)
        assert len(set(tried)) == len(tried)
    fits = [min(k, 100 - k) >= guesses_for(100)[0] / 2 for k in rng.binomial(100, 0.5, 4000)]
    assert np.mean(fits) > 0.94


def test_an_attack_that_tells_nobody_apart_shows_nothing_however_its_patients_are_listed():
    for members in (np.arange(100) < 50, np.arange(100) >= 50):
        assert epsilon_lower_bound(np.zeros(100), members, guesses=guesses_for(100)) == 0
        assert 0.3 < right_guesses(np.zeros(100), members, 100) / 100 < 0.7


def test_the_bound_of_epsilon_refuses_what_it_cannot_be_had_from():
    assert epsilon_lower_bound(np.arange(8.0), np.arange(8) % 2 == 0, guesses=[50]) == 0
    for arguments in ((np.ones(1), np.ones(1)), (np.ones(3), np.ones(2))):
        with pytest.raises(UserError, match="at least two"):
            epsilon_lower_bound(*arguments)


@pytest.mark.parametrize("patients", [3, 29, 49])
def test_a_rate_of_all_members_is_one_whatever_their_number(patients):
    found = tpr_at_fpr(scores_of(np.full(patients, 2.0)), scores_of(np.arange(40.0) / 40))
    assert found.rate.estimate == 1
