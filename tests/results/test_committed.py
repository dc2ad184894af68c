"""Golden numbers: what is committed comes out of its arrays again, to the digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtk.evaluation import apply_protocols
from memtk.interfaces import Levels, Similarities
from memtk.registry import open_registry
from memtk.results import read_arrays, read_result
from memtk.results.validate import validate

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results"
FILES = sorted(COMMITTED.rglob("result.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(p.relative_to(COMMITTED).parts[:-1]))
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
        assert tables["conformal"]["n_copies"].count == found.n_copies
    assert not validate(path).failed


@pytest.mark.parametrize("path", FILES[::10], ids=lambda p: p.parent.parent.name)
def test_an_old_file_is_read_as_the_numbers_that_it_holds(path):
    stored = json.loads(path.read_text())
    assert stored["schema_version"] == 2
    for old, new in zip(stored["checkpoints"], read_result(path).checkpoints, strict=True):
        dar, test = old["protocols"]["dar"], old["protocols"]["conformal"]
        assert new.protocols["dar"]["n_mem"].value == dar["mem_fraction"]
        assert new.protocols["dar"]["n_copies"].value == dar["copy_fraction"]
        assert new.protocols["conformal"]["copies"].value == test["copies_flagged_fraction"]
        assert new.evidence.copy_rate.model_dump() == test["copy_rate"]
        assert new.evidence.min_detectable_copy_rate == test["minimum_detectable_copy_rate"]
