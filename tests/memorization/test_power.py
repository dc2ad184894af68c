import numpy as np
import pytest

from memtk.errors import UserError
from memtk.memorization import benjamini_hochberg, minimum_detectable, p_values


def noticed(rng, found_p, patients, tested, copies, fdr, repetitions=1500):
    """How often something is flagged: scores are drawn, tested and counted."""
    hits = 0
    for _ in range(repetitions):
        validation = rng.random(patients)
        steps = np.r_[np.sort(validation)[::-1], -1.0]  # nearest first
        levels = np.rint(rng.choice(found_p, copies) * (patients + 1)).astype(int)
        above = np.r_[2.0, steps[:-1]]  # a score between two neighbours has the wanted level
        scores = (above + steps)[levels - 1] / 2
        p = p_values(np.r_[scores, rng.random(tested - copies)], validation)
        assert np.allclose(np.sort(p[:copies]), np.sort(levels) / (patients + 1))
        hits += benjamini_hochberg(p, fdr).any()
    return hits / repetitions


@pytest.mark.parametrize(
    ("patients", "tested", "levels", "fdr"),
    [
        (60, 40, [1, 1, 1, 2, 5], 0.1),
        (99, 30, [1] * 9 + [80], 0.1),
        (40, 25, [1, 2, 3, 3, 4], 0.1),
        (20, 200, [1], 0.2),  # strangers share a gap: far from independent of each other
        (40, 400, [1, 1, 1, 30], 0.2),
    ],
)
def test_it_is_the_smallest_rate_that_brute_force_notices(patients, tested, levels, fdr):
    rng = np.random.default_rng(0)
    found_p = np.array(levels) / (patients + 1)
    rate = minimum_detectable(found_p, patients, tested, fdr)
    copies = round(rate * tested)
    assert copies == rate * tested
    assert noticed(rng, found_p, patients, tested, copies, fdr) > 0.8 - 0.035
    assert noticed(rng, found_p, patients, tested, copies - 1, fdr) < 0.8 + 0.035


def test_no_rate_is_detectable_where_no_p_value_is_fine_enough():
    assert minimum_detectable(np.full(9, 1 / 9), patients=8, tested=1) is None
    assert (
        minimum_detectable(np.full(9, 1 / 10), patients=9, tested=20) == 1
    )  # 0.1, and all of them


def test_no_rate_is_detectable_with_copies_that_look_like_strangers():
    assert minimum_detectable(np.linspace(0.2, 1, 50), patients=60, tested=100) is None


def test_at_least_m_over_p_plus_one_over_fdr_copies_are_needed():
    for patients, tested, fdr in ((60, 250, 0.1), (130, 60, 0.05), (19, 30, 0.2)):
        rate = minimum_detectable(np.full(40, 1 / (patients + 1)), patients, tested, fdr)
        fewest = np.ceil(tested / (patients + 1) / fdr * (1 - 1e-12))
        # strangers beyond every validation image help, so a few less may be enough
        assert fewest * 0.6 <= rate * tested <= fewest


def test_better_copies_more_patients_and_less_power_need_fewer():
    def least(share=0.9, patients=60, power=0.8):
        hits = round(100 * share)
        found_p = np.repeat([1 / (patients + 1), 1.0], [hits, 100 - hits])
        return minimum_detectable(found_p, patients, 200, power=power)

    assert least() < least(share=0.6)
    assert least(patients=130) < least() < least(patients=25)
    assert least(power=0.5) < least() < least(power=0.99)


def test_levels_between_those_of_whole_patients_are_rounded_up():
    between = minimum_detectable(np.full(9, 1.5 / 61), 60, 100)
    assert between == minimum_detectable(np.full(9, 2 / 61), 60, 100)
    for patients in range(1, 400):  # p-values as they are computed, not rounded up by an ulp
        levels = np.arange(1, patients + 2)
        assert (np.ceil(levels / (patients + 1) * (patients + 1) * (1 - 1e-12)) == levels).all()


def test_the_same_seed_gives_the_same_number():
    found_p = np.array([1, 1, 3, 40]) / 61
    assert len({minimum_detectable(found_p, 60, 300, seed=4) for _ in range(3)}) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"found_p": []}, {"patients": 0}, {"tested": 0}, {"fdr": 0.0}, {"fdr": 1.0}, {"power": 1.0}],
)
def test_what_cannot_be_simulated_is_refused(wrong):
    with pytest.raises(UserError, match="at least one of each"):
        minimum_detectable(**{"found_p": [0.1], "patients": 60, "tested": 10, **wrong})
