from __future__ import annotations

import hashlib

import pytest

from memtk.digest import file_digest, folder_digest
from memtk.errors import UserError


def test_a_file_has_the_digest_of_its_bytes_and_another_when_they_change(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"one")
    assert file_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert file_digest(path) == hashlib.sha256(b"three").hexdigest()


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*a\.pt"):
        file_digest(tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        file_digest(tmp_path)


def test_a_folder_changes_with_names_and_contents_of_the_files_that_count(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text("{}")
    (tmp_path / "b.txt").write_text("any")
    first = folder_digest(tmp_path, {".json"})
    assert len(first) == 32
    (tmp_path / "b.txt").write_text("other")
    assert folder_digest(tmp_path, {".json"}) == first
    (tmp_path / "deep" / "a.json").rename(tmp_path / "deep" / "c.json")
    renamed = folder_digest(tmp_path, {".json"})
    (tmp_path / "deep" / "c.json").write_text("[]")
    assert len({first, renamed, folder_digest(tmp_path, {".json"})}) == 3
