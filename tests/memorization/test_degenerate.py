"""What cannot be told is refused in a sentence, and what can be told at the edge is right."""

import warnings

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.memorization import (
    Limits,
    PatientGroup,
    Sizes,
    benjamini_hochberg,
    best_case,
    conformal,
    copy_rate,
    cutoff,
    dar,
    energy_test,
    epsilon_lower_bound,
    exposed_patients,
    holm,
    left_out,
    likelihood_ratios,
    margin_test,
    p_values,
    score_planted,
    specificity,
    tail_test,
    weighted_p_values,
)

RNG = np.random.default_rng(0)
FEW, NEAR = np.array([0.1, np.nan, 0.3]), RNG.uniform(0, 0.8, 30)
GROUP, ROWS = PatientGroup(NEAR), RNG.normal(size=(30, 3))
HOLED = np.where(np.arange(90).reshape(30, 3) == 5, np.nan, ROWS)
ONES = np.ones(30)
PLANTED = {"index": np.zeros(3, int), "source": np.zeros(3, int), "training_patients": None}


@pytest.mark.parametrize(
    "call",
    [
        lambda: p_values(FEW, NEAR),
        lambda: p_values(NEAR, FEW),
        lambda: left_out(FEW),
        lambda: conformal(FEW, NEAR),
        lambda: PatientGroup(FEW),
        lambda: dar(FEW, FEW, FEW, FEW),
        lambda: cutoff(FEW),
        lambda: copy_rate(FEW, GROUP, GROUP),
        lambda: exposed_patients(FEW, None, NEAR, None),
        lambda: margin_test((PatientGroup(NEAR[:3]), FEW), (NEAR, NEAR)),
        lambda: score_planted(FEW, **PLANTED, cutoff=0.5, validation=NEAR),
        lambda: specificity(FEW, NEAR, cutoff=0.5),
    ],
)
def test_a_similarity_that_is_no_number_is_no_likeness(call):
    with pytest.raises(UserError, match=r"of the ([a-z]+ )?images is not a number \(NaN\)"):
        call()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: PatientGroup(ROWS), r"of shape \(30, 3\): one for each"),
        (lambda: dar([], [], [0.1], [0.1]), "there are no training images"),
        (lambda: cutoff([]), "there are no training images"),
        (lambda: margin_test((GROUP, NEAR), ([], [])), "there are no reference images"),
        (lambda: benjamini_hochberg(FEW), "between 0 and 1"),
        (lambda: holm([0.1, 1.5]), "between 0 and 1"),
        (lambda: energy_test(HOLED, ROWS), "training images holds a value that is not finite"),
        (lambda: energy_test(ROWS, ROWS[:, :2]), "3 numbers a row and validation images have 2"),
        (lambda: energy_test(ROWS, ROWS[:0]), "there are no validation images"),
        (lambda: likelihood_ratios(ROWS, HOLED), "validation images holds a value that is not"),
        (lambda: likelihood_ratios(ROWS[:1], ROWS), "come from the others: tested images of one"),
        (lambda: likelihood_ratios(ROWS, ROWS, None, ["a"] * 30), "validation images of one"),
        (lambda: weighted_p_values(GROUP, GROUP, (ONES, ONES * np.inf)), "finite, positive"),
        (lambda: epsilon_lower_bound(FEW, FEW > 0), "one of the patients is not finite"),
    ],
)
def test_what_cannot_be_told_is_refused(call, why):
    with pytest.raises(UserError, match=why):
        call()


@pytest.mark.parametrize("shift", [0.0, -1.0, 2.0])
def test_with_one_training_patient_nobody_stands_out_from_the_second(shift):
    """Correlations, minus distances and similarities without an end; nothing else is near."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near, none = NEAR + shift, np.full(30, -np.inf)
        found = margin_test((PatientGroup(near), none), (near, none))
    assert ((found.p > 0) & (found.p <= 1)).all() and not (found.p <= 0.05 / 30).any()


def test_a_correlation_that_rounding_lifts_above_one_is_a_correlation():
    strangers = NEAR.copy()
    strangers[0] = 1.0
    above = np.where(strangers == 1, np.nextafter(1, 2), strangers)
    tested = PatientGroup(np.r_[1.0, NEAR])
    exact, lifted = (tail_test(tested, PatientGroup(each)) for each in (strangers, above))
    assert lifted.p.tolist() == exact.p.tolist() and lifted.model == exact.model


def test_a_copy_among_strangers_who_hardly_differ_has_a_p_value_above_zero():
    found = tail_test(PatientGroup(np.array([0.999])), PatientGroup(0.5 + NEAR / 1e7))
    assert 0 < found.p[0] < 1e-6 and found.sure.all()


def test_no_number_of_planted_copies_shows_that_all_are_seen():
    assert best_case(Sizes(5, 5, 5, 5), Limits(sensitivity=1.0)).least.planted == 0
    assert best_case(Sizes(5, 5, 5, 5), Limits(sensitivity=0.8)).least.planted == 17
