from __future__ import annotations

import re

import numpy as np
import pytest

from memtk.memorization import PatientGroup, exposed_interval
from memtk.results import Comparable, GroupTest, Policy, decide
from memtk.results.answer import answer_audit
from memtk.testing import fakes
from memtk.testing.fakes import named

INEXACT = 1e-9


def said(audit):
    return audit.verdict.outcome, " ".join(audit.verdict.reasons)


def groups(population=0.4, synthetic=0.5, nearer=True):
    """What is compared: p-values of the patients and of the other synthetic images."""
    return Comparable(
        population=GroupTest(p=population, size=0.2),
        synthetic=GroupTest(p=synthetic, size=0.3, nearer=nearer),
    )


TWO_SITES = {"comparable": groups(population=0.01)}
BLAND = {"comparable": groups(synthetic=0.001), "low": 0.2, "estimate": 0.3, "bound": 0.4}
SOME = {"low": 0.06, "estimate": 0.1, "bound": 0.2}

CASES = [
    ({}, "pass", "copy rate is at most 3%"),
    ({}, "pass", "At most 3 of 64 training patients (4.7%) may be exposed"),
    ({}, "pass", "of the generator's own copies lie beyond"),
    ({"test": {"kinds": ("exact", "blur")}}, "pass", "Of the hardest kind, exact, it noticed 96"),
    ({"identical": 2}, "fail", "2 synthetic images are identical to a training image"),
    ({"identical": 1}, "fail", "1 synthetic image is identical to a training image"),
    ({"identical": 1, **TWO_SITES}, "fail", "identical to a training image"),
    (
        {"exposed": 1},
        "fail",
        "is exposed, and it is known which",
    ),
    ({"exposed": (3, 9)}, "fail", "At least 3 of 64 training patients (4.7%) are exposed"),
    ({**SOME, "exposed": (1, 4)}, "fail", "copy rate is at least 6%; the policy allows at most 5%"),
    (SOME, "inconclusive", "nearer to the training images than strangers are, which blur also"),
    (BLAND, "inconclusive", "strangers are (p = 0.001, shifted by 30%): blurred or bland"),
    ({**TWO_SITES, "exposed": (40, 60)}, "inconclusive", "do not look like one population (p = 0"),
    (TWO_SITES, "inconclusive", "--stratify site"),
    ({"copies": 1}, "inconclusive", "1 of 100 synthetic images (1%) is named as a copy for sure"),
    ({"copies": 3}, "inconclusive", "3 of 100 synthetic images (3%) are named as copies for sure"),
    ({"exposed": (0, 4)}, "inconclusive", "Up to 4 of 64 training patients (6.2%) may be"),
    (
        {"exposed": (0, 64), "policy": Policy(max_unseen_patients=0.1)},
        "inconclusive",
        "No planted copy shows how well exposed patients",
    ),
    ({"exposed": None}, "inconclusive", "was not tested"),
    ({"test": None}, "inconclusive", "was not measured"),
    ({"test": {"found": 0, "n": 0, "low": 0.0}}, "inconclusive", "was not measured"),
    (
        {"test": {"found": 85, "n": 100, "low": 0.76}},
        "inconclusive",
        "planted copies instead of 100",
    ),
    ({"test": {"found": 60, "n": 100, "low": 0.5}}, "inconclusive", "A detector that sees more"),
    (
        {"test": {"exposure": 40}},
        "inconclusive",
        "saw the training image exposed by 40 of 100 planted copies",
    ),
    ({"test": {"exposure": 98}}, "pass", "the policy allows at most 5%"),
    ({"n_copies": 3}, "pass", "3 synthetic images are suspect all the same"),
    ({"bound": 0.08}, "inconclusive", "may be as high as 8%"),
    ({"bound": None}, "inconclusive", "could not be bounded"),
    ({"confidence": 0.9}, "inconclusive", "not computed at the 95% confidence"),
    ({"test": {"confidence": 0.8}}, "inconclusive", "Run the audit again"),
]


@pytest.mark.parametrize(("figures", "outcome", "words"), CASES, ids=[str(c[2]) for c in CASES])
def test_one_figure_decides_and_is_named(make_audit, figures, outcome, words):
    found, text = said(make_audit(**figures))
    assert found == outcome and words in text


@pytest.mark.parametrize(
    ("shown", "outcome"), [({}, "inconclusive"), ({"sure": 1}, "fail"), ({"at_least": 2}, "fail")]
)
def test_a_copy_rate_fails_where_a_patient_is_exposed_by_name_or_by_count(
    make_audit, shown, outcome
):
    audit = make_audit(**SOME, exposed=(0, 4))
    people = audit.evidence.copies.model_copy(update={"sure": 0, "at_least": 0} | shown)
    evidence = audit.evidence.model_copy(update={"patients": people})
    assert decide(audit.policy, evidence, audit.selftest, audit.counts).outcome == outcome


def test_exactly_what_is_tolerable_is_tolerated(make_audit):
    assert said(make_audit(bound=0.05))[0] == "pass"
    assert said(make_audit(bound=0.05 + INEXACT))[0] == "inconclusive"
    one = {"estimate": 0.06, "bound": 0.09, "exposed": (1, 4)}
    some = Policy(max_exposed_patients=2 / 64, max_unseen_patients=0.2)
    assert said(make_audit(**one, low=0.05, policy=some))[0] == "inconclusive"
    assert said(make_audit(**one, low=0.05 + INEXACT, policy=some))[0] == "fail"
    assert said(make_audit(exposed=2, policy=some))[0] == "pass"
    assert said(make_audit(exposed=3, policy=some))[0] == "fail"
    assert said(make_audit(exposed=3, policy=some, validation=200))[0] == "fail"  # of 64
    assert said(make_audit(test={"low": 0.8}))[0] == "pass"
    assert said(make_audit(test={"low": 0.8 - INEXACT}))[0] == "inconclusive"


def test_what_is_not_excluded_decides_by_its_upper_end(make_audit):
    policy = Policy(max_unseen_patients=0.1)  # 6.4 of 64
    assert said(make_audit(exposed=(0, 6), policy=policy))[0] == "pass"
    outcome, text = said(make_audit(exposed=(0, 7), policy=policy))
    assert outcome == "inconclusive"
    assert "Up to 7 of 64 training patients (10.9%) may be exposed" in text
    none = Policy(max_unseen_patients=0)
    outcome, text = said(make_audit(exposed=(0, 1), policy=none))
    assert outcome == "inconclusive" and "no patient at all is exposed cannot be shown" in text


def test_what_no_audit_of_so_few_patients_can_exclude_is_told(make_audit):
    nobody, strangers = PatientGroup(np.full(64, 0.1)), PatientGroup(np.linspace(0.2, 0.5, 400))
    best = exposed_interval(nobody, strangers, PatientGroup(np.full(64, 0.99))).high
    few, enough = Policy(max_unseen_patients=(best - 0.1) / 64), Policy()
    assert best / 64 <= enough.max_unseen_patients
    told = f"Of 64 training patients no fewer than {best} stay possible, whatever is found"
    assert told in said(make_audit(exposed=(0, 4), policy=few))[1]
    assert "or a detector that sees more" in said(make_audit(exposed=(0, 4), policy=enough))[1]


def test_a_detector_that_sees_every_planted_copy_is_not_to_be_trained_longer(
    make_audit, monkeypatch
):
    monkeypatch.setitem(fakes.SEEN, "sensitivity", 1.0)
    audit = make_audit(exposed=(0, 5), policy=Policy(max_unseen_patients=0.07))
    assert "More validation patients than 64 may bring that down." in said(audit)[1]
    assert answer_audit(audit).steps == {"patients": None}


def test_a_failure_is_never_hidden_by_what_could_not_be_shown(make_audit):
    outcome, text = said(make_audit(exposed=5, test=None, bound=None))
    assert outcome == "fail" and "exposed" in text and "measured" not in text


def test_every_condition_that_is_missing_is_a_reason(make_audit):
    audit = make_audit(exposed=None, test=None, bound=0.5, copies=1, confidence=0.9)
    assert audit.verdict.outcome == "inconclusive" and len(audit.verdict.reasons) == 5


def test_neither_a_bland_generator_nor_two_sites_fail_whatever_the_copies_say(make_audit):
    for copies in (0, 100):
        for figures in (BLAND, {**TWO_SITES, "exposed": (64, 64)}):
            assert said(make_audit(**figures, copies=copies))[0] == "inconclusive"


def test_a_site_apart_is_the_one_reason_where_all_else_compares_the_two(make_audit):
    audit = make_audit(**TWO_SITES, test=None, bound=None, copies=3)
    assert len(audit.verdict.reasons) == 1


def test_synthetic_images_farther_than_strangers_are_no_blur(make_audit):
    far = groups(synthetic=0.001, nearer=False)
    assert "those that are no copies" not in said(make_audit(**{**BLAND, "comparable": far}))[1]


def test_images_that_resemble_nothing_pass_nothing_and_the_verdict_says_why(make_audit):
    for size, outcome in ((0.1, "pass"), (0.5, "inconclusive")):
        alike = groups().model_copy(update={"likeness": GroupTest(p=0.001, size=size)})
        found, why = said(make_audit(comparable=alike))
        assert found == outcome
        assert ("images that resemble nothing cannot be copies" in why) == (size == 0.5)


@pytest.mark.parametrize(
    ("test", "unlike"),
    [
        ({"likeness": GroupTest(p=0.001, size=0.2)}, True),
        ({"likeness": GroupTest(p=0.001, size=0.19)}, False),
        ({"likeness": GroupTest(p=0.02, size=0.9)}, False),
        ({"synthetic": GroupTest(p=0.001, size=0.3, nearer=False)}, True),
        ({"synthetic": GroupTest(p=0.001, size=0.9, nearer=True)}, False),  # as copies and blur are
        ({"synthetic": GroupTest(p=0.001, size=0.29, nearer=False)}, False),
        ({}, False),
    ],
)
def test_images_are_unlike_the_data_beyond_doubt_and_by_far(test, unlike):
    assert (Comparable(**test).unlike is not None) == unlike


def test_sure_copies_forbid_a_pass_and_suspects_do_not(make_audit):
    for sure, outcome in ((0, "pass"), (1, "inconclusive")):
        copies = named(sure, 100, suspect=4, at_least=2)
        assert said(make_audit(copies=copies))[0] == outcome


def test_a_pass_states_its_three_grounds(make_audit):
    assert len(make_audit().verdict.reasons) == 3


def test_a_pass_says_down_to_which_sensitivity_of_each_side_it_holds(make_audit):
    copies, patients, _ = make_audit().verdict.reasons
    # 1% + 3% (96% - 1%) / 5%: the bound of 3% would be the limit of 5%
    assert "at least 58% of the generator's own copies lie beyond the threshold" in copies
    assert "of the planted ones 96% do." in copies
    assert "of which 95% lie beyond the threshold of this side" in patients
    assert "with fewer than 95% of them beyond it" in patients
    # 2% + (4 / 13) (95% - 2%): 12 of 64 are tolerable, and 3 may be all but 4
    wide = make_audit(policy=Policy(max_unseen_patients=0.2)).verdict.reasons[1]
    assert "with fewer than 30.6% of them beyond it, it would no longer pass." in wide


def test_a_pass_of_an_older_memtk_has_no_tipping_point_of_its_patients(make_audit):
    found = make_audit().evidence
    old = found.exposed.model_copy(update={"sensitivity": None, "false_positive_rate": None})
    outcome, text = said(make_audit(found=found.model_copy(update={"exposed": old})))
    assert outcome == "pass" and "no longer pass" not in text


def test_a_copy_rate_at_less_confidence_than_asked_cannot_fail(make_audit):
    figures = {"low": 0.2, "estimate": 0.3, "bound": 0.4, "exposed": (1, 4)}
    assert said(make_audit(**figures))[0] == "fail"
    assert said(make_audit(**figures, confidence=0.5))[0] == "inconclusive"
    assert said(make_audit(**figures, confidence=0.99))[0] == "fail"


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
    assert "needs a detector" in said(make_audit(bound=None, test=blind))[1]
    few = {"validation": 12, "bound": 0.9, "test": {"found": 0, "n": 100, "low": 0.0}}
    assert "at least 19 are needed" in said(make_audit(**few))[1]


def test_no_reason_promises_anonymity_or_safety(make_audit):
    for figures, _, _ in CASES:
        for reason in make_audit(**figures).verdict.reasons:
            assert reason[0].isupper() or reason[0].isdigit()
            assert reason.endswith(".") and "  " not in reason
            assert not re.search("anonym|safe|guarantee|proof|prove", reason, re.I)
