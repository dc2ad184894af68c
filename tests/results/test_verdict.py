from __future__ import annotations

import pytest

from memtk.results import RateInterval, decide, verdict
from memtk.results.audit import Policy
from memtk.results.schema import Counts
from memtk.testing import fakes

CASES = [
    # copies, exposed, low end of the copy rate -> kind
    (30, 27, 0.3, "memorized"),
    (0, 12, 0.0, "memorized"),  # the exposure side decides
    (0, (1, 4), 0.0, "memorized"),
    (30, None, 0.3, "inconclusive"),  # not tested
    (30, 0, 0.3, "inconclusive"),  # copies, but no training image in return
    (0, (0, 9), 0.0, "inconclusive"),  # nine are not excluded
    (0, 0, 0.0, "none"),
]


def measured(low):
    """What a bench with a self-test and a copy rate adds to its numbers."""
    return {
        "copy_rate": RateInterval(estimate=low + 0.01, low=low, high=low + 0.05),
        "copy_rate_upper_bound": low + 0.03,
        "confidence": 0.95,
        "selftest": fakes.selftest(),
    }


@pytest.mark.parametrize(("copies", "exposed", "low", "kind"), CASES)
def test_the_verdict_claims_no_more_than_the_numbers(make_result, copies, exposed, low, kind):
    said = verdict(make_result(copies=copies, exposed=exposed, **measured(low)))
    assert said.kind == kind and said.reasons


@pytest.mark.parametrize(("copies", "exposed", "low", "kind"), CASES)
def test_a_bench_is_judged_as_an_audit_is(make_result, copies, exposed, low, kind):
    result = make_result(copies=copies, exposed=exposed, m=80, **measured(low))
    counts = result.data.counts | {"synthetic": Counts(images=80, patients=80)}
    audited = decide(Policy(), result.last.evidence, result.selftest, counts)
    named = {"fail": "memorized", "inconclusive": "inconclusive", "pass": "none"}
    assert verdict(result).kind == named[audited.outcome]
    assert verdict(result).reasons == tuple(audited.reasons)


def test_identical_images_are_memorized_in_a_bench_as_they_fail_an_audit(make_result):
    result = make_result(copies=0, exposed=0, m=80, **measured(0.0))
    assert verdict(result).kind == "none"
    last = result.last.model_copy(update={"identical_images": 2})
    same = result.model_copy(update={"checkpoints": [*result.checkpoints[:-1], last]})
    counts = result.data.counts | {"synthetic": Counts(images=80, patients=80)}
    evidence, test = result.last.evidence, result.selftest
    audited = decide(Policy(), evidence, test, counts, identical_images=2)
    assert audited.outcome == "fail" and verdict(same).kind == "memorized"
    assert verdict(same).reasons == tuple(audited.reasons)
    assert "2 synthetic images are identical" in verdict(same).reasons[0]


def test_without_a_self_test_nothing_can_be_ruled_out(make_result):
    assert verdict(make_result()).kind == "inconclusive"
    assert verdict(make_result(exposed=3)).kind == "memorized"


@pytest.mark.parametrize(("flagged", "kind"), [(3, "memorized"), (0, "inconclusive")])
def test_what_an_older_memtk_evaluated_asks_to_be_evaluated_anew(make_result, flagged, kind):
    result = make_result(exposed=flagged)
    old = result.last.model_copy(update={"evidence": fakes.by_ranks(result.last.evidence)})
    said = verdict(result.model_copy(update={"checkpoints": [old]}))
    assert said.kind == kind
    assert "`memtk results recompute RUN --evidence`" in said.reasons[0]


def test_every_kind_has_a_title_and_none_speaks_of_safety(make_result):
    made = [
        make_result(copies=copies, exposed=exposed, **measured(low))
        for copies, exposed, low, _ in CASES
    ]
    assert {verdict(result).title for result in made} == {
        "Memorized",
        "Inconclusive",
        "No evidence found",
    }
