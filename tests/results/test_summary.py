from __future__ import annotations

import re

import pytest

from memtk.results import RateInterval, headline, percent
from memtk.results.sentences import two_numbers
from memtk.testing import fakes

RATE = RateInterval(estimate=0.42, low=0.3, high=0.5)
WITHIN = {
    "copy_rate": RateInterval(estimate=0.01, low=0.0, high=0.06),
    "copy_rate_upper_bound": 0.03,
    "confidence": 0.95,
    "selftest": fakes.selftest(),
}


def test_memorized_names_patients_and_the_null(make_result):
    text = headline(make_result(dar=29, copies=30, exposed=27, copy_rate=RATE))
    assert text == (
        "At least 27 of 64 training patients (42.2 %) came out of the generator again; the "
        "reference rule counts 29 of 64 training images (45 %) as memorized, where a generator "
        "that has memorized nothing would score about 5 %."
    )


def test_copies_without_an_exposure_test_say_that_it_is_missing(make_result):
    text = headline(make_result(dar=29, copies=30, exposed=None, **WITHIN))
    assert "was not tested" in text and "about 5 %" in text


def test_copies_that_no_patient_confirms_are_said_so(make_result):
    text = headline(make_result(copies=1, exposed=0, **WITHIN))
    assert "1 of 64 synthetic images (1.6 %) is named as copies for sure" in text
    assert "no patient is shown to be exposed in return" in text


def test_no_evidence_names_what_is_not_excluded(make_result):
    text = headline(make_result(exposed=(0, 2), **WITHIN))
    assert text.startswith("No evidence of memorization: at most 3 % of the synthetic images are")
    assert "at most 2 of 64 training patients are not excluded" in text
    assert "3 of 64 training images (5 %)" in text


def test_what_an_older_memtk_evaluated_is_told_as_such(make_result):
    result = make_result(exposed=7)
    old = result.last.model_copy(update={"evidence": fakes.by_ranks(result.last.evidence)})
    text = headline(result.model_copy(update={"checkpoints": [old]}))
    assert text.startswith("An older memtk evaluated this: 7 training images are flagged; the ref")


def test_the_two_numbers_stand_with_their_intervals_and_what_chance_gives():
    assert two_numbers(fakes.evidence(exposed=(2, 9), copy_rate=RATE, confidence=0.95)) == (
        "copy rate 42 %, 95 % interval 30 to 50 %; chance gives 0; "
        "between 2 and 9 of 64 training patients exposed"
    )
    assert two_numbers(fakes.evidence(exposed=None)) == (
        "copy rate not computed; exposed patients not tested"
    )


@pytest.mark.parametrize("dar", [0, 3, 29, 64])
@pytest.mark.parametrize("copies", [0, 1, 64])
@pytest.mark.parametrize("exposed", [None, 0, (0, 40), 1, 64])
@pytest.mark.parametrize("measured", [{}, WITHIN])
def test_it_is_one_sentence_with_its_null_and_never_a_promise(
    make_result, dar, copies, exposed, measured
):
    text = headline(make_result(dar=dar, copies=copies, exposed=exposed, **measured))
    assert text.endswith(".")
    assert re.search(r"memorized nothing would score about [\d.]+ %", text)
    assert not re.search(r"(?i:anonym|safe|privacy|guarantee|no memorization)|None|nan", text)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0049, "0.5 %"), (1e-9, "0.1 %"), (1 - 1e-9, "99.9 %"), (0.506, "51 %")]
)
def test_what_is_not_nothing_is_never_shown_as_nothing(share, text):
    assert percent(share) == text
