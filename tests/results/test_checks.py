from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from memtk.results import Result
from memtk.results.migrations import migrate
from memtk.results.validate import check_result

TREE = migrate(json.loads((Path(__file__).parent / "result-schema-2.json").read_text()))


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


FIRST, LAST = "checkpoints.0.protocols", "checkpoints.1.protocols"
FOUND = "checkpoints.1.evidence"
COUNTS, FRACTIONS = "counts within the sizes", "shares equal their counts"
RESTS = "the verdict rests on these numbers"
NULLS, INTERVALS = "nulls by their formulas", "estimates within intervals"
NAMES = "names no path and no patient"


def test_a_real_result_passes_all_checks():
    assert changed() == {}
    assert len({check.name for check in check_result(Result.model_validate(TREE))}) == 10


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("sizes", "used_training.images", 21, "21 training images were used of 20"),
        ("sizes", "data.counts.validation.patients", 30, "30 patients of 20 images"),
        ("sizes", "data.counts.validation.images", 0, "validation: no image"),
        ("sizes", "data.spec.shape", [32], "shape"),
        (COUNTS, f"{LAST}.dar.n_mem.count", 21, "dar n_mem is 21 of 20"),
        (COUNTS, f"{LAST}.dar.validation_called_copies.count", 21, "called_copies is 21 of 20"),
        (COUNTS, f"{LAST}.dar.n_mem.of", 19, "dar n_mem counts of 19 training images"),
        (COUNTS, f"{FOUND}.n_copies", 25, "n_copies is 25 of 20"),
        (COUNTS, f"{FOUND}.reference_n_mem", 25, "reference n_mem is 25 of 20"),
        (COUNTS, f"{FOUND}.patients_exposed", 21, "exposed patients is 21 of 20"),
        (COUNTS, f"{FOUND}.patients_with_flagged_images", 3, "0 flagged training images"),
        (COUNTS, f"{FIRST}.dar.n_copies.count", 99, "step-000010: dar n_copies is 99"),
        (FRACTIONS, f"{LAST}.dar.n_mem.value", 0.06, "dar n_mem is 0.06, but 1 of 20"),
        (FRACTIONS, f"{LAST}.dar-matched.n_mem.value", None, "has a count and no value"),
        (FRACTIONS, f"{LAST}.conformal.exposed.value", 0.33, "exposed is 0.33, but"),
        (RESTS, f"{FOUND}.tau", 0.5, "tau is 0.5, and"),
        (RESTS, f"{LAST}.conformal.n_copies.count", 3, "n_copies is 0, and 3 in the table"),
        (NULLS, f"{LAST}.dar.n_mem.null", 0.04, "its formula gives 0.05"),
        (NULLS, f"{FOUND}.reference_null", 0.04, "its formula gives 0.05"),
        (NULLS, f"{FOUND}.min_p", 0.01, "min_p is 0.01 with 20"),
        (NULLS, f"{LAST}.conformal.copies.null", 0.05, "gives 0.047619"),
        (NULLS, f"{FOUND}.can_reject", False, "can_reject is False"),
        (INTERVALS, f"{FOUND}.copy_rate.low", 0.3, "0 does not lie between 0.3 and"),
        (INTERVALS, f"{FOUND}.copy_rate_upper_bound", 0.0, ""),
        (INTERVALS, f"{FOUND}.confidence", None, "without its confidence"),
        (INTERVALS, "selftest.sensitivity.dar.count", 9, "0.5 is not 9 of 20"),
        ("checkpoints", "checkpoints.0.step", 20, "do not ascend"),
        ("checkpoints", "complete", False, "not finished"),
        ("checkpoints", f"{FOUND}.alpha", 0.1, "several levels"),
        ("checkpoints", "request.bench.alpha", 0.2, "was asked for"),
        (NAMES, "components.generator.config.weights", "/home/me/net.pt", "generator.config.wei"),
        (NAMES, f"{FOUND}.notes", ["as in patient 1234567"], "patient's number"),
        (NAMES, "request.data.source", "scans/anna.csv", "request.data.source names a path"),
    ],
)  # fmt: skip
def test_a_number_that_does_not_add_up_is_named(name, key, value, said):
    found = changed((key, value))
    if key.endswith("upper_bound"):  # 0 is no less than the estimate, which is 0
        assert not found
        found = changed((key, value), (f"{FOUND}.copy_rate.estimate", 0.1))
        said = "the upper bound lies below the copy rate"
    assert said in found[name], found


def test_flags_where_none_can_be_are_named():
    found = changed(
        (f"{FOUND}.fdr", 0.01), (f"{FOUND}.n_copies", 2),
        (f"{FOUND}.can_reject", False),
    )  # fmt: skip
    assert "2 copies are flagged, where none can be" in found[NULLS]


def test_a_result_without_a_validation_group_is_refused_at_once():
    tree = copy.deepcopy(TREE)
    del tree["data"]["counts"]["validation"]
    with pytest.raises(ValidationError, match="no training or no validation"):
        Result.model_validate(tree)
