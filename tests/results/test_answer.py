from __future__ import annotations

import re

import pytest

from memtk.results import (
    Audit,
    Comparable,
    GroupTest,
    Policy,
    RateInterval,
    answer_audit,
    answer_cell,
    answer_run,
    headline,
)
from memtk.results.answer import copy_rate, two_numbers
from memtk.results.formats import about, share
from memtk.results.verdicts import explain
from memtk.testing import fakes

RATE = RateInterval(estimate=0.42, low=0.3, high=0.5)
WITHIN = {
    "copy_rate": RateInterval(estimate=0.01, low=0.0, high=0.06),
    "copy_rate_upper_bound": 0.03,
    "confidence": 0.95,
    "selftest": fakes.selftest(),
}
QUARTER = {"estimate": 0.26, "low": 0.2, "bound": 0.33, "exposed": (14, 20)}


def test_a_failed_audit_is_answered_in_the_words_of_a_data_protection_officer():
    said = answer_audit(fakes.audit(**QUARTER))
    assert said.first == (
        "No: do not release these images. About a quarter are copies of training images."
    )
    assert said.badge == "Fail"
    assert said.numbers == (
        "Copy rate 26%, 95% interval 20 to 33%; 0 if nothing is copied",
        "Between 14 and 20 of 64 training patients exposed; 0 if nothing is copied",
    )
    assert "at least 20%" in said.why[0] and "14 of 64 training patients" in said.why[1]
    assert [*said.steps] == ["release", "retrain"]


def test_a_pass_says_what_is_not_excluded_and_is_no_promise():
    said = answer_audit(fakes.audit())
    assert said.first.startswith(
        "Yes, within memtk's default policy. At most 3% of these images can be copies, and images "
        "of at most 3 of 64 training patients can have come out again, if copies of them are as "
        "easy to recognise as those that memtk planted as a test. This is no proof"
    )
    assert not said.steps and not re.search("anonym|\\bsafe", said.first + " ".join(said.why))


BESIDE = {"pass": (0.0, 0.021, 0.0147), "loose": (0.0, 0.091, 0.0764), "a low": (0.01, 0.083, 0.07)}
"""Ends of an interval, and the one-sided bound beside: by the policy both tolerable or neither."""


def of_ends(low: float, high: float, bound: float) -> Audit:
    rate = RateInterval(estimate=(low + high) / 4, low=low, high=high)
    return fakes.audit(copy_rate=rate, copy_rate_upper_bound=bound)


@pytest.mark.parametrize("ends", BESIDE.values(), ids=BESIDE)
def test_the_upper_end_of_the_interval_is_the_one_that_a_page_says(ends):
    audit = of_ends(*ends)
    said = answer_audit(audit)
    text = " ".join([said.line, *said.why, *audit.verdict.reasons, explain(audit)])
    assert text.count(share(ends[1])) >= 5 and share(ends[2]) not in text


@pytest.mark.parametrize("estimate", [0.04, 0.049, 0.0499, 0.049999])
def test_nobody_is_asked_for_more_than_twenty_times_the_images_there_are(estimate):
    rate = RateInterval(estimate=estimate, low=0.0, high=0.16)
    said = answer_audit(fakes.audit(copy_rate=rate, copy_rate_upper_bound=0.15))
    assert "patients" in said.steps and (said.steps["patients"] or 0) <= 20 * 64
    assert all(int(n) <= 20 * 64 for n in re.findall(r"about (\d+)", " ".join(said.why)))


def test_where_the_bound_alone_is_tolerable_it_is_said_and_called_one_sided():
    said = answer_audit(of_ends(0.0, 0.053, 0.047))
    assert " At most 4.7% of these images can be copies" in said.first
    assert said.why[0].startswith("With 95% confidence, one-sided, the copy rate is at most 4.7%")


def test_of_patients_whom_a_count_alone_exposes_none_is_said_to_be_seen():
    audit = fakes.audit(exposed=(3, 9))
    unnamed = audit.evidence.patients.model_copy(update={"sure": 0})
    found = audit.evidence.model_copy(update={"patients": unnamed})
    first = answer_audit(audit.model_copy(update={"evidence": found})).first
    assert first == (
        "No: do not release these images. They give at least 3 of 64 training patients away; "
        "which is not known."
    )


@pytest.mark.parametrize(
    ("figures", "plain", "steps"),
    [
        ({"identical": 2}, "2 synthetic images are a training image", {"release", "retrain"}),
        ({"exposed": (3, 9)}, "Images of at least 3 of 64 training", {"release", "retrain"}),
        ({"exposed": (0, 4)}, "Images of up to 4 of 64 training patients may have", {"patients"}),
        ({"exposed": (0, 9), "n": 20}, "Images of up to 9 of 20 training", {"sizes"}),
        (
            {"exposed": (0, 320), "n": 320, "test": {"exposure": 98}},
            "Images of up to 320 of 320 training",
            {"patients"},
        ),
        ({"exposed": None}, "Whether images of training patients came out", {"exposure"}),
        ({"test": None}, "Whether copies would have been noticed was not", {"selftest"}),
        ({"copies": 3}, "3 synthetic images are named as copies for sure.", {"release"}),
        ({"bound": 0.08}, "Up to 8% of them may be copies.", {"patients"}),
        ({"test": {"found": 60, "low": 0.5}}, "It would miss too many copies", {"detector"}),
        ({"test": {"found": 85, "low": 0.76}, "n": 300}, "It would miss too many", {"plants"}),
        ({"validation": 8}, "A few patients that were given back would go", {"patients"}),
        (
            {"comparable": Comparable(population=GroupTest(p=0.01, size=0.2))},
            "The training and the validation patients are too unlike to be compared.",
            {"check"},
        ),
    ],
)
def test_what_decides_is_said_plainly_and_only_what_helps_is_a_next_step(figures, plain, steps):
    said = answer_audit(fakes.audit(**figures))
    assert plain in said.first
    assert steps <= set(said.steps)
    assert not (said.kind == "fail" and set(said.steps) - {"release", "retrain"})


def test_how_many_patients_it_takes_stands_with_the_step():
    said = answer_audit(fakes.audit(bound=0.08, m=1000))
    reason = fakes.audit(bound=0.08, m=1000).verdict.reasons[0]
    assert f"About {said.steps['patients']} validation patients instead of 64" in reason


def test_at_most_three_reasons_stand_below_the_answer():
    lacking = fakes.audit(test=None, bound=0.2, exposed=None, copies=3, validation=8)
    assert len(lacking.verdict.reasons) > 3
    assert len(answer_audit(lacking).why) == 3


EVERY_KIND = [
    {},
    {"identical": 2, "exposed": (3, 9)},
    QUARTER,
    {"exposed": (0, 9)},
    {"exposed": None},
    {"validation": 8},
    {"copies": 3},
    {"copies": 3, "estimate": 0.26, "low": 0.2, "bound": 0.33, "exposed": (0, 3)},
    {"bound": 0.08, "m": 100, "test": None},
    {"bound": None, "test": {"found": 60, "low": 0.5}},
    {"comparable": Comparable(population=GroupTest(p=0.01, size=0.2))},
    {"comparable": Comparable(likeness=GroupTest(p=0.001, size=0.5))},
    {"comparable": Comparable(synthetic=GroupTest(p=0.001, size=0.2, nearer=True))},
]


@pytest.mark.parametrize("figures", EVERY_KIND, ids=str)
def test_why_is_at_most_three_sentences_and_the_record_has_the_rest(figures):
    audit = fakes.audit(**figures)
    why = answer_audit(audit).why
    assert 1 <= len(why) <= 3
    full = " ".join(audit.verdict.reasons)
    for said in why:
        assert said.endswith(".") and not re.search(r"[.] [A-Z]", said), said
        assert said in full


def test_a_pass_says_in_its_record_down_to_where_it_holds():
    audit = fakes.audit()
    assert "It stays tolerable as long as at least" in audit.verdict.reasons[0]
    assert "as long as" not in " ".join(answer_audit(audit).why)


def test_patients_who_are_all_known_are_one_number(make_result):
    all_of_them = make_result(exposed=(64, 64), **WITHIN | {"copy_rate": RATE})
    assert two_numbers(all_of_them.last.evidence)[1] == (
        "64 of 64 training patients exposed; 0 if nothing is copied"
    )
    audit = fakes.audit(**QUARTER | {"exposed": (64, 64)})
    assert "64 of 64 training patients are exposed: the synthetic" in explain(audit)
    assert "64 to 64" not in explain(audit) and "64 and 64" not in explain(audit)


def test_what_fails_names_a_way_that_is_left_when_nothing_more_can_be_held_back():
    for figures in ({"identical": 2}, {"exposed": (3, 9)}, QUARTER):
        assert "retrain" in answer_audit(fakes.audit(**figures)).steps


def test_where_patients_alone_would_not_do_it_says_how_many_images_too():
    said = answer_audit(fakes.audit(estimate=0.016, bound=0.085, m=64))
    assert said.steps == {"images": 270, "patients": 270}


def test_a_policy_that_was_changed_afterwards_is_said_first():
    first = {"outcome": "fail", "policy": Policy().model_dump()}
    said = answer_audit(fakes.audit(first_verdict=first))
    assert said.why[0].startswith("The policy was changed after the results were known")


def test_a_generator_that_memorized_is_answered_with_yes(make_result):
    result = make_result(dar=29, copies=30, exposed=27, **WITHIN | {"copy_rate": RATE})
    said = answer_cell(result)
    assert said.first == (
        "Yes: do not release its images. About two fifths are copies of training images."
    )
    assert headline(result) == (
        f"{said.first} Copy rate 42%, 95% interval 30 to 50%; 0 if nothing is copied; between 27 "
        "and 30 of 64 training patients exposed; 0 if nothing is copied."
    )


def test_no_sign_names_what_is_not_excluded(make_result):
    text = headline(make_result(exposed=(0, 2), **WITHIN))
    assert text.startswith(
        "No sign of it, within the default policy: at most 3% of its images can be copies, and "
        "images of at most 2 of 64 training patients can have come out again, if copies of them "
        "are as easy to recognise as those that memtk planted as a test."
    )


def test_several_generators_are_answered_together(make_result):
    cells = {"a": 27, "b": 0, "c": 27}
    results = [make_result(cell=cell, exposed=n) for cell, n in cells.items()]
    assert answer_run(results) == (
        "a and c have memorized theirs: do not release their images. For b it is not shown either "
        "way."
    )
    assert answer_run(results[:2]).startswith("a has memorized its own: do not release its images.")
    assert answer_run(results[:1]) == answer_cell(results[0]).first


def control(make_result, name, low, high):
    rate = RateInterval(estimate=high, low=low, high=high)
    used = fakes.used(name).model_copy(update={"plugin": "toy"})
    result = make_result(cell=name, **WITHIN | {"copy_rate": rate})
    parts = result.components.model_copy(update={"generator": used})
    return result.model_copy(update={"components": parts})


@pytest.mark.parametrize(
    ("copied", "fresh", "said"),
    [
        ((0.9, 1.0), (0.0, 0.2), "The controls copycat and independent came out as they must."),
        ((0.2, 0.5), (0.0, 0.2), "Don't trust this: the control copycat did not come out as it"),
        ((0.9, 1.0), (0.2, 0.4), "Don't trust this: the control independent did not come out as"),
    ],
)
def test_a_generator_beside_controls_is_answered_first_and_then_whether_these_are_as_they_must(
    make_result, copied, fresh, said
):
    tested = make_result(cell="mine", exposed=27)
    controls = [control(make_result, "copycat", *copied)]
    controls.append(control(make_result, "independent", *fresh))
    text = answer_run([*controls, tested])
    assert text.startswith(f"{answer_cell(tested).first} {said}") and "copycat has" not in text
    assert "must" not in answer_run(controls)  # alone they are what is asked about


def test_what_an_older_memtk_evaluated_is_told_as_such(make_result):
    result = make_result(exposed=7)
    old = result.last.model_copy(update={"evidence": fakes.by_ranks(result.last.evidence)})
    said = answer_cell(result.model_copy(update={"checkpoints": [old]}))
    assert said.first == "An older memtk evaluated this, by ranks: 7 training images flagged."
    assert said.badge == "Memorized" and "recompute" in said.why[0]


def test_the_two_numbers_stand_with_their_intervals_and_what_chance_gives():
    assert two_numbers(fakes.evidence(exposed=(2, 9), copy_rate=RATE, confidence=0.95)) == (
        "Copy rate 42%, 95% interval 30 to 50%; 0 if nothing is copied",
        "Between 2 and 9 of 64 training patients exposed; 0 if nothing is copied",
    )
    assert two_numbers(fakes.evidence(exposed=None)) == (
        "Copy rate not computed",
        "Exposed patients not tested",
    )
    assert copy_rate(fakes.evidence(copy_rate=None)) == ""


@pytest.mark.parametrize("dar", [0, 64])
@pytest.mark.parametrize("copies", [0, 1, 64])
@pytest.mark.parametrize("exposed", [None, 0, (0, 40), 1, 64])
@pytest.mark.parametrize("measured", [{}, WITHIN])
def test_the_headline_is_whole_and_never_a_promise(make_result, dar, copies, exposed, measured):
    text = headline(make_result(dar=dar, copies=copies, exposed=exposed, **measured))
    assert text.endswith(".") and ".." not in text
    assert not re.search(r"(?i:anonym|safe|privacy|guarantee)|None|nan", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0049, "0.5%"), (1e-9, "0.1%"), (1 - 1e-9, "99.9%"), (0.506, "50.6%")],
)
def test_what_is_not_nothing_is_never_shown_as_nothing(value, text):
    assert share(value) == text


def test_shares_in_words_are_within_a_fifth_of_the_share():
    words = {"A few": 0.015, "About one in 20": 0.05, "About one in 10": 0.1, "About half": 0.5}
    words |= {"About a fifth": 0.2, "About a quarter": 0.25, "About a third": 1 / 3}
    words |= {"About one in 7": 1 / 7, "About two thirds": 2 / 3, "Most": 0.9, "All": 1.0}
    assert all(about(value, value, value) == word for word, value in words.items())
    assert about(0.99, 0.98, 1.0) == "Nearly all" and about(0.0, 0.0, 0.0) == "A few"


def test_an_interval_that_crosses_half_is_given_in_place_of_a_word():
    assert about(0.87, 0.401, 0.98) == "Between 40 and 98%"
    assert about(0.42, 0.1, 0.6) == "Between 10 and 60%"
    assert about(1.0, 0.7, 1.0) == "Most, perhaps all,"
