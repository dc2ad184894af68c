from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from memtk.results import (
    Audit,
    Result,
    RunFile,
    headline,
    read_audit,
    read_record,
    read_result,
)
from memtk.results.migrations import MIGRATIONS, SCHEMA, migrate
from memtk.results.study import StudyFile

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("result-*.json"))

KINDS = {"result": (Result, 1), "audit": (Audit, 1), "run": (RunFile, 1), "study": (StudyFile, 2)}
"""What each stored file holds, and the first schema that it was written with."""


def read(name):
    return json.loads((Path(__file__).parent / name).read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_every_version_is_read(path):
    result = read_result(path)
    assert result.schema_version == SCHEMA
    assert headline(result)


def test_there_is_a_file_of_every_version_and_a_way_out_of_every_old_one():
    assert {json.loads(path.read_text())["schema_version"] for path in FILES} == {
        *range(1, SCHEMA + 1)
    }
    assert set(MIGRATIONS) == set(range(1, SCHEMA))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_each_kind_that_an_old_memtk_wrote_is_read(kind):
    record, first = KINDS[kind]
    for version in range(first, SCHEMA + 1):
        path = HERE / f"{kind}-schema-{version}.json"
        assert json.loads(path.read_text())["schema_version"] == version
        assert read_record(path, record).schema_version == SCHEMA


def test_an_audit_of_an_old_memtk_says_what_one_of_today_says():
    first, *others = (read_audit(HERE / f"audit-schema-{v}.json") for v in range(1, SCHEMA + 1))
    for other in others:
        assert (first.protocols, first.evidence) == (other.protocols, other.evidence)
        assert first.verdict == other.verdict and first.policy == other.policy


def test_patients_with_a_flagged_image_are_not_taken_for_patients_that_were_tested():
    found = read_result(FILES[0]).last.evidence
    assert (found.patients_exposed, found.patients_with_flagged_images) == (None, 25)


def test_patients_that_were_tested_are_kept():
    before = read("result-schema-1.json")["checkpoints"][-1]["protocols"]["conformal"]
    after = migrate(read("result-schema-1.json"))["checkpoints"][-1]
    assert before["patients_exposed"] == 20 == after["evidence"]["patients_exposed"]
    table = after["protocols"]["conformal"]["patients_exposed"]
    assert (table["count"], table["of"], table["value"]) == (20, 20, 1.0)


def test_an_audit_is_migrated_as_a_result_is(tmp_path):
    tree = read("audit-schema-1.json")
    test = tree["protocols"]["conformal"]
    exposed = test["patients_exposed"]
    test.pop("patients_with_flagged_images", None)
    (tmp_path / "audit.json").write_text(json.dumps(tree))
    found = read_audit(tmp_path / "audit.json")
    assert found.evidence.patients_exposed is None
    assert found.evidence.patients_with_flagged_images == exposed is not None
    assert "patients_exposed" not in found.protocols["conformal"]


def test_what_an_old_file_says_becomes_tables_of_the_same_numbers():
    before = read("result-schema-2.json")
    after = read_result(HERE / "result-schema-2.json")
    for old, new in zip(before["checkpoints"], after.checkpoints, strict=True):
        dar, test = old["protocols"]["dar"], old["protocols"]["conformal"]
        tables, found = new.protocols, new.evidence
        assert tables["dar"]["n_mem"].count == dar["n_mem"] == found.reference_n_mem
        assert tables["dar"]["n_mem"].value == dar["mem_fraction"]
        assert tables["dar"]["n_mem"].null == dar["expected_mem_fraction"] == found.reference_null
        assert tables["dar"]["tau"].value == dar["tau"] == found.tau
        assert tables["conformal"]["copies"].value == test["copies_flagged_fraction"]
        assert tables["conformal"]["n_copies"].count == test["n_copies"] == found.n_copies
        assert ("exposed" in tables["conformal"]) == (test["n_mem"] is not None)
        assert found.min_p == test["finest_p"] and found.notes == test["notes"]
        assert found.min_detectable_copy_rate == test["minimum_detectable_copy_rate"]
        matched = tables["dar-matched"]["n_mem"]
        assert matched.count == old["protocols"]["dar_matched"]["n_mem"]
    assert after.request == before.get("asked") and after.components.protocols == []
    assert [e.text for e in after.mitigation_effects] == [
        d["text"] for d in before.get("deeds", [])
    ]


def test_steps_follow_each_other_and_leave_the_tree_as_it_is():
    tree = {"schema_version": 1, "said": ["one"]}
    before = copy.deepcopy(tree)
    steps = {n: lambda t, n=n: t | {"said": [*t["said"], n]} for n in (1, 2, 3)}
    assert migrate(tree, steps=steps, newest=3) == {"schema_version": 3, "said": ["one", 1, 2]}
    assert tree == before


@pytest.mark.parametrize("version", [SCHEMA, SCHEMA + 1, "1", None, True])
def test_what_is_not_old_is_left_alone(version):
    tree = {"schema_version": version, "protocols": {"conformal": {"patients_exposed": 3}}}
    assert migrate(tree) == tree
    assert migrate({"seed": 3}) == {"seed": 3}


@pytest.mark.parametrize("odd", [[], 3, {"protocols": 3}, {"protocols": {"conformal": []}}])
def test_a_damaged_tree_is_left_to_the_reader(odd):
    tree = {"schema_version": 1, "checkpoints": [odd], "protocols": None}
    assert migrate(tree) == tree | {"schema_version": SCHEMA}
