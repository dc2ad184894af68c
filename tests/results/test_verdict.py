from __future__ import annotations

import pytest

from memtk.results import verdict

CASES = [
    # dar, copies, exposed, validation -> kind
    (29, 30, 27, 64, "memorized"),
    (3, 0, 12, 64, "memorized"),  # the exposure side decides, whatever the reference rule says
    (29, 30, None, 64, "memorized"),  # not tested, but copies and reference count agree
    (3, 30, None, 64, "signs"),  # copies alone: a bland set does this too
    (29, 30, 0, 64, "signs"),  # copies, but no training image in return
    (29, 0, 0, 64, "signs"),  # the protocols disagree
    (64, 0, 0, 8, "signs"),  # the reference rule alone, and the test can flag nothing
    (3, 0, 0, 8, "inconclusive"),
    (3, 0, None, 8, "inconclusive"),
    (3, 0, 0, 64, "none"),
    (3, 0, None, 64, "none"),
    (9, 0, 0, 64, "none"),  # 14 % against 5 %: no more than a count that varies
]


@pytest.mark.parametrize(("dar", "copies", "exposed", "validation", "kind"), CASES)
def test_the_verdict_claims_no_more_than_the_numbers(
    make_result, dar, copies, exposed, validation, kind
):
    said = verdict(make_result(dar=dar, copies=copies, exposed=exposed, validation=validation))
    assert said.kind == kind


def test_a_high_reference_count_is_no_sign_where_the_null_is_as_high(make_result):
    assert verdict(make_result(dar=167, n=904, m=904, validation=226)).kind == "none"  # 18.5 %
    assert verdict(make_result(dar=167, n=904, m=904, validation=904)).kind == "signs"


def test_the_fewest_that_can_be_flagged_follow_from_the_sizes(make_result):
    assert verdict(make_result()).min_detectable == 10  # 64 / 65 / 0.1 = 9.8
    assert verdict(make_result(validation=8)).min_detectable == 72  # more than there are: none
    assert verdict(make_result(exposed=None, m=200)).min_detectable == 31  # of the synthetic images


def test_every_kind_has_a_title_and_none_speaks_of_safety(make_result):
    names = ("dar", "copies", "exposed", "validation")
    made = [make_result(**dict(zip(names, case[:4], strict=True))) for case in CASES]
    titles = {verdict(result).title for result in made}
    assert titles == {"Memorized", "Signs of memorization", "Inconclusive", "No evidence found"}
