from __future__ import annotations

import hashlib
import hmac

import pytest

from memtk.errors import UserError
from memtk.report.pictures import read_key, short_hash


def test_a_name_is_eight_digits_of_a_keyed_hash():
    full = hmac.new(b"k" * 32, b"training\x0012", hashlib.sha256).hexdigest()
    assert short_hash(b"k" * 32, "training", 12) == full[:8]


def test_split_index_and_key_all_change_the_name():
    names = {
        short_hash(key, split, index)
        for key in (b"a", b"b")
        for split in ("training", "training1", "m/step-000100")
        for index in (1, 2, 11)
    }
    assert len(names) == 18


def test_the_key_lies_in_the_run_folder(tmp_path):
    (tmp_path / "key").write_text("0f" * 32 + "\n")
    assert read_key(tmp_path) == b"\x0f" * 32


@pytest.mark.parametrize("text", [None, "no key", "0f0f", ""])
def test_a_missing_or_damaged_key_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "key").write_text(text)
    with pytest.raises(UserError, match="key"):
        read_key(tmp_path)
