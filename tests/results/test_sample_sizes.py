from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from memtk.memorization import PatientGroup, tail_test
from memtk.results import Policy, decide
from memtk.results.answer import answer_audit
from memtk.results.case import (
    PATIENTS_FOR_TAIL,
    patients_for_bound,
    patients_to_flag,
    patients_to_plan,
    plants_for_sensitivity,
)
from memtk.testing import fakes


@pytest.mark.parametrize("fdr", [0.01, 0.05, 0.1, 0.2, 0.3, 0.9])
def test_with_one_patient_less_nothing_can_be_flagged(fdr):
    patients = patients_to_flag(fdr)
    assert 1 / (patients + 1) <= fdr * (1 + 1e-9)
    assert patients == 1 or 1 / patients > fdr


def test_the_bound_shrinks_to_the_limit_with_the_patients_that_are_named():
    v, m, bound, estimate, limit = 60, 1000, 0.08, 0.01, 0.05
    wanted = patients_for_bound(bound, estimate, limit, v, m)
    scale = (bound - estimate) / np.sqrt(1 / v + 1 / m)
    assert estimate + scale * np.sqrt(1 / wanted + 1 / m) <= limit
    assert estimate + scale * np.sqrt(1 / (0.9 * wanted) + 1 / m) > limit
    assert patients_for_bound(0.04, 0.0, 0.05, v, m) < v  # more than needed are there
    assert patients_for_bound(0.04, 0.04, 0.05, v, m) is None


def test_the_plan_holds_for_simulated_audits_without_copies():
    alpha, sensitivity, limit, m, rng = 0.05, 0.9, 0.05, 1000, np.random.default_rng(0)
    v = patients_to_plan(alpha, sensitivity, limit, 0.95, m)
    f = rng.beta(round(alpha * (v + 1)), v + 1 - round(alpha * (v + 1)), 40_000)
    q = rng.binomial(m, f) / m
    bounds = (q - alpha) / (sensitivity - alpha) + norm.ppf(0.95) * np.sqrt(
        alpha * (1 - alpha) * (1 / v + 1 / m)
    ) / (sensitivity - alpha)
    assert np.median(bounds) == pytest.approx(limit, abs=0.006)
    assert patients_to_plan(alpha, 0.04, limit, 0.95, m) is None
    assert patients_to_plan(alpha, sensitivity, 0.0, 0.95, m) is None
    assert patients_to_plan(alpha, sensitivity, 0.5, 0.95, 10**6) == 19  # for a p-value of alpha


@pytest.mark.parametrize(("rate", "limit"), [(0.85, 0.8), (0.95, 0.9), (1.0, 0.8), (1.0, 0.95)])
def test_the_planted_copies_that_are_named_are_enough_and_hardly_more(rate, limit):
    n = plants_for_sensitivity(rate, limit, 0.95)
    low = beta.ppf(0.025, rate * n, n - rate * n + 1)  # Clopper and Pearson
    assert limit - 1e-9 <= low <= limit + 0.015


def test_a_single_copy_found_is_above_a_limit_of_nothing():
    assert plants_for_sensitivity(1.0, 0.0, 0.95) == 1


@pytest.mark.parametrize("patients", [PATIENTS_FOR_TAIL - 1, PATIENTS_FOR_TAIL])
def test_names_by_a_tail_take_as_many_patients_as_is_said(patients):
    rng = np.random.default_rng(0)
    tested, strangers = (PatientGroup(rng.gumbel(size=n)) for n in (40, patients))
    test = tail_test(tested, strangers)
    assert (test.model == "ranks") == (patients < PATIENTS_FOR_TAIL)
    if test.model != "ranks":
        return
    audit = fakes.audit(validation=patients)
    named = audit.evidence.patients.model_copy(update={"model": "ranks", "reason": test.reason})
    found = audit.evidence.model_copy(update={"patients": named})
    said = decide(Policy(), found, audit.selftest, audit.counts)
    assert said.outcome == "inconclusive"
    answer = answer_audit(audit.model_copy(update={"evidence": found, "verdict": said}))
    assert answer.steps["patients"] >= PATIENTS_FOR_TAIL
