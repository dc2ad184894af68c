from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from memtk.errors import UserError
from memtk.results import Policy, Rate, audit_schema, first_verdict, read_audit, write_audit

SCHEMA = Path(__file__).parents[2] / "docs/reference/audit.schema.json"


def test_the_schema_in_the_docs_is_current():
    assert SCHEMA.read_text() == json.dumps(audit_schema(), indent=2, sort_keys=True) + "\n"


def test_an_audit_is_read_as_it_was_written(make_audit, tmp_path):
    audit = make_audit(identical=1)
    write_audit(tmp_path / "audit.json", audit)
    assert read_audit(tmp_path / "audit.json") == audit


def test_a_script_finds_every_number_that_was_promised(make_audit, tmp_path):
    write_audit(tmp_path / "audit.json", make_audit())
    tree = json.loads((tmp_path / "audit.json").read_text())
    promised = {
        "dar": "n_mem n_copies validation_called_copies",
        "dar-matched": "n_mem",
        "conformal": "n_copies copies exposed",
    }
    for protocol, names in promised.items():
        assert set(names.split()) <= set(tree["protocols"][protocol])
        for name in names.split():
            assert {"value", "count", "of", "null"} <= set(tree["protocols"][protocol][name])
    names = "alpha fdr tau reference_n_mem reference_null n_copies n_mem patients_exposed "
    names += "copy_rate copy_rate_upper_bound copies training_images patients exposed comparable "
    names += "threshold"
    assert set(names.split()) <= set(tree["evidence"])
    assert set(tree["evidence"]["copy_rate"]) == {"estimate", "low", "high"}
    for name in ("copies", "training_images", "patients"):
        assert {"of", "sure", "suspect", "at_least", "model", "check"} <= {*tree["evidence"][name]}
    assert {"low", "high", "of", "sensitivity"} <= {*tree["evidence"]["exposed"]}
    assert set(tree["verdict"]) == {"outcome", "reasons"} and tree["selftest"]["sensitivity"]


def test_the_verdict_of_the_first_policy_is_kept_through_any_number_of_others(make_audit, tmp_path):
    path, first = tmp_path / "audit.json", Policy()
    assert first_verdict(path, first) is None
    write_audit(path, make_audit(exposed=2))
    assert first_verdict(path, first) is None  # the same again
    lax, laxer = (Policy(max_exposed_patients=limit) for limit in (0.1, 0.2))
    said = first_verdict(path, lax)
    assert (said.outcome, said.policy) == ("fail", first)
    write_audit(path, make_audit(exposed=2, policy=lax, first_verdict=said))
    assert first_verdict(path, laxer) == said, "the first, not the last but one"
    assert first_verdict(path, first) is None


def test_an_audit_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UserError, match=r"audit\.json"):
        read_audit(tmp_path / "audit.json")


def test_a_verdict_without_a_reason_is_refused(make_audit):
    tree = make_audit().model_dump()
    tree["verdict"]["reasons"] = []
    with pytest.raises(ValidationError, match="reasons"):
        type(make_audit()).model_validate(tree)


@pytest.mark.parametrize(
    "wrong", [{"count": 5}, {"low": 0.8}, {"high": 0.4}, {"rate": 1.2}, {"n": -1}]
)
def test_a_rate_outside_its_interval_or_above_its_total_is_refused(wrong):
    right = {"count": 2, "n": 4, "rate": 0.5, "low": 0.1, "high": 0.9}
    assert Rate(**right).rate == 0.5
    with pytest.raises(ValidationError):
        Rate(**right | wrong)


def test_a_rate_of_nothing_says_nothing():
    assert Rate(count=0, n=0, rate=0, low=0, high=1).high == 1
