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
    write_audit,
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
    old, new = (read_audit(HERE / f"audit-schema-{version}.json") for version in (1, 2))
    assert old.protocols == new.protocols and old.verdict == new.verdict


def test_patients_with_a_flagged_image_are_not_taken_for_patients_that_were_tested():
    found = read_result(FILES[0]).last.protocols.conformal
    assert (found.patients_exposed, found.patients_with_flagged_images) == (None, 25)


def test_patients_that_were_tested_are_kept():
    before = read("result-schema-1.json")["checkpoints"][-1]["protocols"]["conformal"]
    after = migrate(read("result-schema-1.json"))["checkpoints"][-1]["protocols"]["conformal"]
    assert before == after and before["patients_exposed"] == 20


def test_an_audit_is_migrated_as_a_result_is(tmp_path, make_audit):
    write_audit(tmp_path / "audit.json", make_audit(exposed=3))
    tree = json.loads((tmp_path / "audit.json").read_text()) | {"schema_version": 1}
    del tree["protocols"]["conformal"]["patients_with_flagged_images"]
    (tmp_path / "audit.json").write_text(json.dumps(tree))
    found = read_audit(tmp_path / "audit.json").protocols.conformal
    assert (found.patients_exposed, found.patients_with_flagged_images) == (None, 3)


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
    assert migrate(tree) == tree | {"schema_version": 2}
