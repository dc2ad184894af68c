"""Golden numbers: what is committed comes out of its arrays again, to the digit."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtk.evaluation import apply_protocols
from memtk.evaluation.recompute import evidence_again
from memtk.interfaces import Levels, Similarities
from memtk.registry import open_registry
from memtk.results import read_arrays, read_result

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results"
FILES = sorted(COMMITTED.rglob("result.json"))
LATER = {
    "may_miss", "never", "margin_model", "margin_check", "sensitivity", "false_positive_rate",
}  # fmt: skip
"""What is kept only since some of these were written."""


def named(path):
    return "/".join(path.relative_to(COMMITTED).parts[:-1])


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_table_is_recomputed_to_the_same_digits_from_the_arrays(path):
    result, entries = read_result(path), open_registry().entries("protocol")
    for checkpoint in result.evaluated:
        found = checkpoint.evidence
        similarities = Similarities.of_arrays(
            read_arrays(path.with_name("arrays.h5"), checkpoint.label)
        )
        levels = Levels(found.alpha, found.fdr, found.confidence)
        tables, _ = apply_protocols(entries, similarities, levels)
        assert tables == checkpoint.protocols
        assert tables["dar"]["n_mem"].count == found.reference_n_mem


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_lower_bound_lies_above_an_upper_end(path):
    for checkpoint in read_result(path).evaluated:
        found = checkpoint.evidence
        copies, people = found.copies, found.patients
        least = max(copies.at_least, copies.sure) / copies.of - 1e-9
        assert least <= min(found.copy_rate.high, found.copy_rate_upper_bound)
        if people and found.exposed:
            assert max(people.at_least, people.sure) <= found.exposed.high


@pytest.mark.parametrize("path", FILES[::12], ids=named)
def test_what_the_verdict_rests_on_is_found_anew_from_the_arrays(path):
    result = read_result(path)
    arrays = read_arrays(path.with_name("arrays.h5"), result.last.label)
    again, stated = (x.model_dump() for x in (evidence_again(result, arrays), result.last.evidence))
    for name in ("copies", "training_images", "patients"):
        for units in filter(None, (again[name], stated[name])):
            units["check"] = pytest.approx(units["check"], rel=1e-9)  # processors round otherwise
    for name in ("copies", "training_images", "patients", "exposed"):
        for later in LATER & (stated[name] or {}).keys():
            if stated[name][later] is None:
                del stated[name][later], again[name][later]
    for each in filter(None, (again["comparable"], stated["comparable"])):
        each["likeness"] = None  # is of the images themselves, which the arrays do not keep
    assert again == stated
