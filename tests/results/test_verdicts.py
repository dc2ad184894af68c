from __future__ import annotations

import math
import re

import pytest

from memtk.results import Policy
from memtk.results.verdicts import min_detectable_patients

INEXACT = 1e-9


def said(audit):
    return audit.verdict.outcome, " ".join(audit.verdict.reasons)


CASES = [
    ({}, "pass", "copy rate is at most 3 %"),
    ({"identical": 2}, "fail", "2 synthetic images are identical to a training image"),
    ({"identical": 1}, "fail", "1 synthetic image is identical to a training image"),
    ({"low": 0.06, "estimate": 0.1, "bound": 0.2}, "fail", "at least 6 % (estimate 10 %"),
    ({"exposed": 1}, "fail", "1 of 64 training patients (1.6 %) is exposed"),
    ({"exposed": None}, "inconclusive", "was not tested"),
    ({"test": None}, "inconclusive", "was not measured"),
    ({"test": {"found": 0, "n": 0, "low": 0.0}}, "inconclusive", "was not measured"),
    (
        {"test": {"found": 85, "n": 100, "low": 0.76}},
        "inconclusive",
        "planted copies instead of 100",
    ),
    ({"test": {"found": 60, "n": 100, "low": 0.5}}, "inconclusive", "A better embedder"),
    (
        {"test": {"exposure": 40}},
        "inconclusive",
        "saw the training image exposed by 40 of 100 planted copies",
    ),
    ({"test": {"exposure": 98}}, "pass", "tolerable is none"),
    ({"copies": 3}, "pass", "3 synthetic images are named as copies all the same"),
    ({"bound": 0.08}, "inconclusive", "may be as high as 8 %"),
    ({"bound": None}, "inconclusive", "could not be bounded"),
    ({"can_reject": False}, "inconclusive", "no synthetic image could have been flagged"),
    ({"patients_can_reject": False}, "inconclusive", "no training patient could have been"),
    ({"confidence": 0.9}, "inconclusive", "not computed at the 95 % confidence"),
    ({"test": {"confidence": 0.8}}, "inconclusive", "run the audit again"),
]


@pytest.mark.parametrize(("figures", "outcome", "words"), CASES, ids=[str(c[2]) for c in CASES])
def test_one_figure_decides_and_is_named(make_audit, figures, outcome, words):
    found, text = said(make_audit(**figures))
    assert found == outcome and words in text


def test_exactly_what_is_tolerable_is_tolerated(make_audit):
    assert said(make_audit(bound=0.05))[0] == "pass"
    assert said(make_audit(bound=0.05 + INEXACT))[0] == "inconclusive"
    assert said(make_audit(low=0.05, estimate=0.06, bound=0.09))[0] == "inconclusive"
    assert said(make_audit(low=0.05 + INEXACT, estimate=0.06, bound=0.09))[0] == "fail"
    some = Policy(max_exposed_patients=2 / 64)
    assert said(make_audit(exposed=2, policy=some))[0] == "pass"
    assert said(make_audit(exposed=3, policy=some))[0] == "fail"
    assert said(make_audit(exposed=3, policy=some, validation=200))[0] == "fail"  # of 64
    assert said(make_audit(test={"low": 0.8}))[0] == "pass"
    assert said(make_audit(test={"low": 0.8 - INEXACT}))[0] == "inconclusive"


def test_a_failure_is_never_hidden_by_what_could_not_be_shown(make_audit):
    outcome, text = said(make_audit(exposed=5, test=None, bound=None, can_reject=False))
    assert outcome == "fail" and "exposed" in text and "measured" not in text


def test_every_condition_that_is_missing_is_a_reason(make_audit):
    audit = make_audit(exposed=None, test=None, bound=0.5, can_reject=False, confidence=0.9)
    assert audit.verdict.outcome == "inconclusive" and len(audit.verdict.reasons) == 5


def test_a_pass_states_all_three_of_its_grounds_and_what_went_unseen(make_audit):
    audit = make_audit(min_detectable_patients=10)
    assert len(audit.verdict.reasons) == 3
    assert "Up to 9 exposed patients would have gone unnoticed" in audit.verdict.reasons[1]
    assert "unnoticed" not in " ".join(make_audit(min_detectable_patients=1).verdict.reasons)


def test_a_copy_rate_at_less_confidence_than_asked_cannot_fail(make_audit):
    figures = {"low": 0.2, "estimate": 0.3, "bound": 0.4, "exposed": 0}
    assert said(make_audit(**figures))[0] == "fail"
    assert said(make_audit(**figures, confidence=0.5))[0] == "inconclusive"
    assert said(make_audit(**figures, confidence=0.99))[0] == "fail"


def test_without_a_test_of_patients_the_sizes_tell_whether_any_could_be_flagged(make_audit):
    assert said(make_audit(validation=8, can_reject=True))[0] == "inconclusive"
    found = make_audit().evidence
    assert min_detectable_patients(found, 64) == 10  # 64 / 65 / 0.1 = 9.8
    assert min_detectable_patients(found.model_copy(update={"min_detectable_patients": 3}), 64) == 3


def test_the_number_of_validation_patients_that_would_do_is_given(make_audit):
    numbers = [
        int(re.search(r"About (\d+) validation", said(make_audit(bound=b))[1])[1])
        for b in (0.055, 0.06)
    ]
    assert 64 < numbers[0] < numbers[1]
    text = said(make_audit(bound=None))[1]
    assert re.search(r"About \d+ validation patients would do, of whom there are 64", text)
    strict = Policy(max_copy_rate=0.01)
    assert "more synthetic images and more" in said(make_audit(bound=None, policy=strict))[1]


def test_more_patients_are_not_promised_to_help_where_they_would_not(make_audit):
    assert "more of these are needed too" in said(make_audit(bound=0.2))[1]
    assert "hardly lead to a pass" in said(make_audit(estimate=0.06, bound=0.1))[1]
    none = Policy(max_copy_rate=0)
    assert "cannot be shown with any number" in said(make_audit(policy=none))[1]
    assert "self-test measures" in said(make_audit(bound=None, test=None))[1]
    blind = {"found": 3, "n": 100, "low": 0.0}
    assert "needs a better embedder" in said(make_audit(bound=None, test=blind))[1]
    few = {"validation": 12, "bound": 0.9, "test": {"found": 0, "n": 100, "low": 0.0}}
    assert "at least 19 are needed" in said(make_audit(**few))[1]
    assert "At least 9 validation patients" in said(make_audit(can_reject=False))[1]


def test_no_reason_promises_anonymity_or_safety(make_audit):
    for figures, _, _ in CASES:
        for reason in make_audit(**figures).verdict.reasons:
            assert reason[0].isupper() or reason[0].isdigit()
            assert reason.endswith(".") and "  " not in reason
            assert not re.search("anonym|safe|guarantee|proof|prove", reason, re.I)


def test_how_many_exposed_patients_may_go_unseen_is_asked_only_where_the_policy_says(make_audit):
    strict = Policy(max_unseen_patients=0.1)  # 6.4 of 64
    assert said(make_audit(min_detectable_patients=10))[0] == "pass"
    outcome, text = said(make_audit(min_detectable_patients=10, policy=strict))
    assert outcome == "inconclusive"
    assert "Up to 9 of 64 training patients (14.1 %) may be exposed" in text
    assert said(make_audit(min_detectable_patients=7, policy=strict))[0] == "pass"  # six may


def test_as_many_validation_patients_as_are_named_would_let_fewer_go_unseen(make_audit):
    for limit in (0.0, 0.02, 0.1):
        policy = Policy(max_unseen_patients=limit)
        _, text = said(make_audit(min_detectable_patients=40, validation=10, policy=policy))
        needed = int(re.search(r"About (\d+) validation patients instead of 10", text)[1])
        fdr = make_audit().evidence.fdr
        unseen = [math.ceil(64 / (fdr * (v + 1)) - 1e-9) - 1 for v in (needed, needed - 1)]
        assert unseen[0] <= limit * 64 < unseen[1]
