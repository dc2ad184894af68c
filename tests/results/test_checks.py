from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from memtk.results import Result
from memtk.results.validate import check_result

TREE = json.loads((Path(__file__).parent / "result-schema-2.json").read_text())


def changed(*changes):
    """The checks that a real result fails once `(dotted key, value)` are changed in it."""
    tree = copy.deepcopy(TREE)
    for key, value in changes:
        *keys, last = [int(k) if k.lstrip("-").isdigit() else k for k in key.split(".")]
        at = tree
        for part in keys:
            at = at[part]
        at[last] = value
    checks = check_result(Result.model_validate(tree))
    return {check.name: check.detail for check in checks if check.outcome == "failed"}


LAST = "checkpoints.1.protocols"
COUNTS, FRACTIONS = "counts within the sizes", "fractions equal their counts"
NULLS, INTERVALS = "nulls by their formulas", "estimates within intervals"
NAMES = "names no path and no patient"


def test_a_real_result_passes_all_checks():
    assert changed() == {}
    assert len({check.name for check in check_result(Result.model_validate(TREE))}) == 7


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("sizes", "used_training.images", 21, "21 training images were used of 20"),
        ("sizes", "data.counts.validation.patients", 30, "30 patients of 20 images"),
        ("sizes", "data.counts.validation.images", 0, "validation: no image"),
        ("sizes", "data.spec.shape", [32], "shape"),
        (COUNTS, f"{LAST}.dar.n_mem", 21, "dar n_mem is 21 of 20"),
        (COUNTS, f"{LAST}.dar.validation_called_copies", 21, "called copies is 21 of 20"),
        (COUNTS, f"{LAST}.conformal.n_copies", 25, "n_copies is 25 of 20"),
        (COUNTS, f"{LAST}.conformal.patients_exposed", 21, "exposed patients is 21 of 20"),
        (COUNTS, f"{LAST}.conformal.patients_with_flagged_images", 3, "0 flagged training images"),
        (COUNTS, "checkpoints.0.protocols.dar.n_copies", 99, "step-000010: dar n_copies is 99"),
        (FRACTIONS, f"{LAST}.dar.mem_fraction", 0.06, "dar mem_fraction is 0.06, but 1 of 20"),
        (FRACTIONS, f"{LAST}.dar_matched.mem_fraction", None, "without its count"),
        (FRACTIONS, f"{LAST}.conformal.exposed_flagged_fraction", 0.33, "no whole number of 20"),
        (NULLS, f"{LAST}.dar.expected_mem_fraction", 0.04, "its formula gives 0.05"),
        (NULLS, f"{LAST}.conformal.finest_p", 0.01, "finest_p is 0.01 with 20"),
        (NULLS, f"{LAST}.conformal.copies_expected_fraction", 0.05, "gives 0.047619"),
        (NULLS, f"{LAST}.conformal.can_reject", False, "can_reject is False"),
        (INTERVALS, f"{LAST}.conformal.copy_rate.low", 0.3, "0 does not lie between 0.3 and"),
        (INTERVALS, f"{LAST}.conformal.copy_rate_upper_bound", 0.0, ""),
        (INTERVALS, f"{LAST}.conformal.confidence", None, "without its confidence"),
        (INTERVALS, "selftest.sensitivity.dar.count", 9, "0.5 is not 9 of 20"),
        ("checkpoints", "checkpoints.0.step", 20, "do not ascend"),
        ("checkpoints", "complete", False, "not finished"),
        ("checkpoints", f"{LAST}.conformal.alpha", 0.1, "several levels"),
        ("checkpoints", "asked.bench.alpha", 0.2, "was asked for"),
        (NAMES, "components.generator.config.weights", "/home/me/net.pt", "generator.config.wei"),
        (NAMES, f"{LAST}.conformal.notes", ["as in patient 1234567"], "patient's number"),
        (NAMES, "asked.data.source", "scans/anna.csv", "asked.data.source names a path"),
    ],
)  # fmt: skip
def test_a_number_that_does_not_add_up_is_named(name, key, value, said):
    found = changed((key, value))
    if key.endswith("upper_bound"):  # 0 is no less than the estimate, which is 0
        assert not found
        found = changed((key, value), (f"{LAST}.conformal.copy_rate.estimate", 0.1))
        said = "the upper bound lies below the copy rate"
    assert said in found[name], found


def test_flags_where_none_can_be_are_named():
    found = changed(
        (f"{LAST}.conformal.fdr", 0.01), (f"{LAST}.conformal.n_copies", 2),
        (f"{LAST}.conformal.can_reject", False),
    )  # fmt: skip
    assert "2 copies are flagged, where none can be" in found[NULLS]


def test_a_result_without_a_validation_group_is_refused_at_once():
    tree = copy.deepcopy(TREE)
    del tree["data"]["counts"]["validation"]
    [check] = check_result(Result.model_validate(tree))
    assert check.outcome == "failed" and "no validation" in check.detail
