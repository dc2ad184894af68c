from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtk.results import Result, read_result
from memtk.results.differences import compare

REAL = read_result(Path(__file__).parent / "result-schema-2.json")


def outcome(name, change, tolerance=0.01):
    """What is said of a number after `change(tree)` of the repetition."""
    tree = json.loads(REAL.model_dump_json())
    change(tree)
    lines = compare(REAL, Result.model_validate(tree), tolerance)
    assert {line.outcome for line in lines if name not in line.name} <= {"equal"}
    return {line.outcome for line in lines if name in line.name}


def setter(value, *keys):
    def change(tree):
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value

    return change


PROTOCOLS = ("checkpoints", 1, "protocols")


def test_a_result_equals_itself():
    lines = compare(REAL, REAL)
    assert {line.outcome for line in lines} == {"equal"}
    assert {"step-000020: dar n_mem", "step-000010: copy_rate", "self-test dar found"} <= {
        line.name for line in lines
    }


@pytest.mark.parametrize(("tau", "said"), [(0.9353, "close"), (0.92, "differs")])
def test_a_similarity_may_differ_by_the_tolerance(tau, said):
    assert outcome("step-000020: dar tau", setter(tau, *PROTOCOLS, "dar", "tau", "value")) == {said}


def test_a_count_may_differ_by_a_share_of_the_images():
    change = setter(2, *PROTOCOLS, "dar", "n_copies", "count")
    assert outcome("step-000020: dar n_copies", change) == {"differs"}
    assert outcome("step-000020: dar n_copies", change, tolerance=0.05) == {"close"}


@pytest.mark.parametrize(("value", "said"), [(0.322, "close"), (0.33, "differs")])
def test_a_quality_may_differ_by_a_share_of_itself(value, said):
    change = setter(value, "checkpoints", 1, "quality", "ms-ssim")
    assert outcome("step-000020: quality ms-ssim", change) == {said}


def test_a_number_that_only_one_of_them_has_differs():
    change = setter(None, *PROTOCOLS, "dar-matched", "n_mem", "count")
    assert outcome("step-000020: dar-matched n_mem", change) == {"differs"}


def test_seconds_are_not_compared():
    assert not outcome("nothing", setter({"a": 1.0}, "timing"))
