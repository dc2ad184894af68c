from __future__ import annotations

import pytest

from memtk.results import MeasureInfo, MeasureRecord, RateInterval
from memtk.results.measures import cost_of, main_measures, named_measures, tradeoff


def with_quality(result, cell, quality, measured=None, rate=None):
    last = result.last
    test = last.evidence.model_copy(update={"copy_rate": rate})
    last = last.model_copy(
        update={"quality": quality, "measure_info": measured or {}, "evidence": test}
    )
    return result.model_copy(update={"cell": cell, "checkpoints": [last]})


KNOWN = {
    "fid[net]": MeasureInfo(real=1.0, better="lower"),
    "vendi": MeasureInfo(better="higher"),
    "ms-ssim": MeasureInfo(real=0.4, better="real"),
    "odd": MeasureInfo(better="real"),
}


@pytest.mark.parametrize(
    ("name", "value", "cost"),
    [
        ("fid[net]", 3.0, 3.0),
        ("vendi", 3.0, -3.0),
        ("ms-ssim", 0.25, 0.15),
        ("ms-ssim", 0.55, 0.15),
        ("odd", 3.0, None),  # near to what?
        ("unknown", 3.0, None),
    ],
)
def test_every_measure_is_turned_so_that_smaller_is_better(make_result, name, value, cost):
    result = with_quality(make_result(), "a", {name: value}, KNOWN)
    assert cost_of(result.last, name) == (None if cost is None else pytest.approx(cost))


def test_a_measure_without_a_number_has_no_cost(make_result):
    assert cost_of(with_quality(make_result(), "a", {}, KNOWN).last, "vendi") is None


def test_a_measure_is_told_by_the_first_checkpoint_that_has_its_number(make_result):
    result = make_result()
    without = MeasureRecord(value=None, title="AUC", side="training", note="not tested")
    told = MeasureRecord(value=0.75, title="AUC of members", side="training", null=0.5)
    found = [
        (result, result.last.model_copy(update={"protocols": {"mine": {"auc": record}}}))
        for record in (without, told, told.model_copy(update={"value": 0.5}), without)
    ]
    measure = named_measures(found)["mine:auc"]
    assert measure.record == told and measure in main_measures(named_measures(found).values())
    assert named_measures(found[:1])["mine:auc"].record == without


def test_cells_stand_side_by_side_with_every_measure_that_any_has(make_result):
    rate = RateInterval(estimate=0.2, low=0.1, high=0.4)
    found = tradeoff(
        [
            with_quality(make_result(exposed=16), "plain", {"fid[net]": 2.0}, KNOWN, rate),
            with_quality(make_result(exposed=None), "less", {"fid[net]": 1.0, "vendi": 3.0}),
        ]
    )
    assert found.measures == ("fid[net]", "vendi")
    assert found.better == {"fid[net]": "lower", "vendi": "higher"}
    assert found.real == {"fid[net]": 1.0, "vendi": None}
    one, two = found.sides
    assert one.copy_rate == rate and one.exposed.low == 16 and one.quality["vendi"] is None
    assert two.copy_rate is None and two.exposed is None and two.quality["vendi"] == 3.0


def test_what_was_judged_anew_is_what_counts(make_result):
    result = with_quality(make_result(), "a", {"vendi": 1.0})
    anew = result.last.model_copy(update={"quality": {"vendi": 5.0}, "reevaluated": True})
    chosen = result.model_copy(update={"chosen": anew})
    assert tradeoff([chosen]).sides[0].quality == {"vendi": 5.0}
    assert chosen.last is anew and chosen.evaluated == [*result.checkpoints, anew]
    assert result.last.label == f"step-{result.last.step:06d}" and anew.label == "chosen"


def test_the_training_time_is_that_of_all_trainings_it_took(make_result):
    timing = {"training a": 2.0, "training first": 3.0, "sampling a": 9.0}
    assert make_result(timing=timing).training_seconds is None
    both = make_result(timing=timing, training_stages=["training a", "training first"])
    assert both.training_seconds == 5.0
