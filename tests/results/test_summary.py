from __future__ import annotations

import re

import pytest

from memtk.results import headline, percent


def test_memorized_names_images_patients_and_the_null(make_result):
    text = headline(make_result(dar=29, copies=30, exposed=27, patients_with_flagged_images=20))
    assert text == (
        "27 of 64 training images (42 %), from 20 patients, came out of the generator again; the "
        "reference rule counts 29 (45 %), where a generator that has memorized nothing would score "
        "about 5 %."
    )


def test_copies_without_an_exposure_test_say_that_it_is_missing(make_result):
    text = headline(make_result(dar=29, copies=30, exposed=None))
    assert "30 of 64 synthetic images (47 %) are nearer to a training image" in text
    assert "was not tested" in text and "about 5 %" in text


def test_copies_that_no_training_image_confirms_are_called_what_they_may_be(make_result):
    text = headline(make_result(dar=3, copies=1, exposed=0))
    assert "1 of 64 synthetic images (2 %) is nearer" in text
    assert "no training image stands out in return" in text and "look alike" in text
    assert "in return" not in headline(make_result(dar=3, copies=30, exposed=None))


def test_a_reference_count_that_no_test_confirms_is_no_proof(make_result):
    text = headline(make_result(dar=29))
    assert text.startswith("The reference rule counts 29 of 64 training images (45 %)")
    assert "the conformal test flags nothing" in text and "no proof" in text
    text = headline(make_result(dar=64, validation=8))
    assert "with 8 validation patients the conformal test can flag nothing" in text


def test_sizes_that_can_reject_nothing_are_said_so(make_result):
    text = headline(make_result(dar=20, validation=8))
    assert text.startswith("Nothing can be said: with 8 validation patients no image could have")
    assert "about 34 %" in text  # 1 - 0.95 ** 8


def test_no_evidence_names_what_would_have_gone_unnoticed(make_result):
    text = headline(make_result(dar=3))
    assert text.startswith("No evidence of memorization: against 64 validation patients no image")
    assert "3 of 64 training images (5 %)" in text and "up to 9 memorized images would" in text
    assert "up to 9 copies would" in headline(make_result(dar=3, exposed=None))
    assert "unnoticed" not in headline(make_result(dar=3, validation=2000))


@pytest.mark.parametrize("dar", [0, 3, 29, 64])
@pytest.mark.parametrize("copies", [0, 1, 64])
@pytest.mark.parametrize("exposed", [None, 0, 1, 64])
@pytest.mark.parametrize("validation", [1, 64, 5000])
def test_it_is_one_sentence_with_its_null_and_never_a_promise(
    make_result, dar, copies, exposed, validation
):
    text = headline(make_result(dar=dar, copies=copies, exposed=exposed, validation=validation))
    assert text.endswith(".") and not re.search(r"[.!?]\s", text)
    assert re.search(r"memorized nothing would score about [\d.]+ %", text)
    assert not re.search(r"(?i:anonym|safe|privacy|guarantee|no memorization)|None|nan", text)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0049, "0.5 %"), (1e-9, "0.1 %"), (1 - 1e-9, "99.9 %"), (0.506, "51 %")]
)
def test_what_is_not_nothing_is_never_shown_as_nothing(share, text):
    assert percent(share) == text
