from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from memtk.errors import UserError
from memtk.results import json_schema, write_arrays
from memtk.results.run import find_results
from memtk.results.validate import validate

REAL = Path(__file__).parent / "result-schema-3.json"


def outcomes(said):
    return {check.name: check.outcome for check in said.checks}


@pytest.mark.parametrize("name", ["result-schema-1.json", "result-schema-3.json"])
def test_a_real_result_of_each_version_is_valid(name):
    said = validate(REAL.with_name(name))
    assert not said.failed
    assert outcomes(said)["arrays.h5 gives the same numbers"] == "skipped"
    assert said.schema == int(name[-6])


def test_the_published_schema_takes_a_real_result():
    jsonschema.validate(json.loads(REAL.read_text()), json_schema())


def test_what_the_published_schema_refuses_is_refused(tmp_path):
    tree = json.loads(REAL.read_text())
    published = jsonschema.Draft202012Validator(json_schema())
    for change in ({"sead": 3}, {"checkpoints": []}, {"seed": "x"}, {"used_training": {}}):
        (tmp_path / "result.json").write_text(json.dumps(tree | change))
        assert not published.is_valid(tree | change)
        [failed] = validate(tmp_path / "result.json").failed
        assert failed.name == "fits the schema" and next(iter(change)) in failed.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no schema_version"),
        ("{}", "no schema_version"),
        ('{"schema_version": true}', "no schema_version"),
        ('{"schema_version": 99}', "it has schema 99"),
        ("\xff", "no JSON"),
    ],
)
def test_what_is_no_result_fails_and_does_not_raise(tmp_path, text, said):
    (tmp_path / "result.json").write_bytes(text.encode("latin-1"))
    [check] = validate(tmp_path / "result.json").checks
    assert check.outcome == "failed" and said in check.detail


def test_sizes_beyond_all_numbers_fail_and_do_not_raise(tmp_path):
    tree = json.loads(REAL.read_text())
    tree["checkpoints"][0]["n_synthetic"] = 10**400
    (tmp_path / "result.json").write_text(json.dumps(tree))
    assert validate(tmp_path / "result.json").failed


def test_arrays_beside_are_looked_at(tmp_path):
    (tmp_path / "result.json").write_text(REAL.read_text())
    write_arrays(tmp_path / "arrays.h5", "step-000020", {})
    assert outcomes(validate(tmp_path / "result.json"))["arrays.h5 gives the same numbers"] == (
        "failed"
    )


def test_a_missing_file_is_an_error_of_the_user(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        validate(tmp_path / "result.json")
    with pytest.raises(UserError, match="there is no"):
        find_results(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no result.json"):
        find_results(tmp_path)


def test_results_are_found_in_any_depth_in_one_order(tmp_path):
    for name in ("b/result.json", "a/deep/result.json", "a/run.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = [path.relative_to(tmp_path).as_posix() for path in find_results(tmp_path)]
    assert found == ["a/deep/result.json", "b/result.json"]
    assert find_results(tmp_path / "a/run.json") == [tmp_path / "a/run.json"]
