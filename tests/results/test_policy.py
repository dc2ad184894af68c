from __future__ import annotations

import pytest

from memtk.errors import UserError
from memtk.results import Policy, read_policy


@pytest.fixture
def written(tmp_path):
    """`written(text)`: the path of a file with this text."""

    def write(text):
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return path

    return write


def test_no_file_is_the_defaults():
    assert read_policy(None) == Policy()
    assert Policy().model_dump() == {
        "max_copy_rate": 0.05,
        "max_exposed_patients": 0.0,
        "max_unseen_patients": 0.05,
        "confidence": 0.95,
        "min_sensitivity": 0.8,
        "alpha": 0.05,
        "fdr": 0.1,
        "seed": 0,
        "plants": 100,
        "stratify": None,
    }


def test_a_policy_fixes_the_levels_and_an_audit_with_others_is_refused():
    policy = Policy(alpha=0.02)
    assert policy.levels == {"alpha": 0.02}
    settled = policy.settled({"alpha": 0.02, "fdr": 0.2, "plants": 7})
    assert (settled.alpha, settled.fdr, settled.plants) == (0.02, 0.2, 7)
    with pytest.raises(UserError, match=r"the policy says alpha = 0.02 and the audit 0.05"):
        policy.settled({"alpha": 0.05})


def test_a_policy_of_old_that_asked_for_no_upper_end_tolerates_any():
    assert Policy.model_validate({"max_unseen_patients": None}).max_unseen_patients == 1


def test_what_a_file_leaves_out_has_its_default(written):
    assert read_policy(written("[policy]\nmax_copy_rate = 0.01")) == Policy(max_copy_rate=0.01)
    assert read_policy(written("[policy]")) == Policy()


def test_an_unknown_key_gets_the_nearest_known_one(written):
    with pytest.raises(UserError, match=r"policy\.toml: unknown key 'policy\.max_copyrate'.*Did"):
        read_policy(written("[policy]\nmax_copyrate = 0.01"))


@pytest.mark.parametrize(
    "line",
    ["max_copy_rate = 5", "max_copy_rate = -0.1", "confidence = 95", "min_sensitivity = 'high'"],
)
def test_a_value_out_of_range_is_refused_and_named(written, line):
    with pytest.raises(UserError, match=f"policy.{line.split()[0]} = "):
        read_policy(written(f"[policy]\n{line}"))


def test_keys_without_their_table_are_sent_there(written):
    with pytest.raises(UserError, match=r"put max_copy_rate below a line \[policy\]"):
        read_policy(written("max_copy_rate = 0.01"))


@pytest.mark.parametrize("text", ["", "policy = 3", "[polcy]\nx = 1", "[policy]\n[bench]"])
def test_a_file_that_is_no_policy_is_refused_with_the_keys_of_one(written, text):
    with pytest.raises(UserError, match=r"one table, \[policy\].*max_copy_rate"):
        read_policy(written(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.toml"):
        read_policy(tmp_path / "none.toml")
