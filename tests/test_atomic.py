from __future__ import annotations

import errno
import os

import pytest

from memtk.atomic import explain, reason_of, replacing, require_space, write_text
from memtk.errors import UserError


def files(folder):
    return sorted(p.name for p in folder.rglob("*"))


def test_text_is_written_whole_and_nothing_else_is_left(tmp_path):
    write_text(tmp_path / "new" / "folder" / "a.txt", "größer\n")
    assert (tmp_path / "new/folder/a.txt").read_bytes() == "größer\n".encode()
    assert files(tmp_path) == ["a.txt", "folder", "new"]


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_until_the_end_the_old_file_is_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old" and temporary.parent == path.parent
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError("oh"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path, failure):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(type(failure)), replacing(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old" and files(tmp_path) == ["a.txt"]


def test_a_failure_before_anything_was_written_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="oh"), replacing(tmp_path / "a.txt"):
        raise ValueError("oh")
    assert files(tmp_path) == []


def test_a_writer_that_writes_nothing_is_an_error_and_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        pass
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "no permission to write there"),
    ],
)
def test_what_the_system_says_becomes_one_line_with_the_file_and_a_way_out(
    tmp_path, monkeypatch, number, words
):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError) as raised:
        write_text(path, "new")
    text = str(raised.value)
    assert text.startswith(f"cannot write {path}: {words}") and "--out" in text
    assert len(text.splitlines()) == 1
    assert path.read_text() == "old" and files(tmp_path) == ["a.txt"]


def test_a_full_disk_while_the_file_is_renamed_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "replace", lambda a, b: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(UserError, match="the disk is full"):
        write_text(path, "new")
    assert path.read_text() == "old" and files(tmp_path) == ["a.txt"]


def test_a_full_disk_is_seen_through_what_a_library_makes_of_it(tmp_path):
    def like_h5py():
        raise RuntimeError("can't flush (errno = 28, error message = 'No space left on device')")

    with pytest.raises(UserError, match="the disk is full"), explain(tmp_path / "a.h5"):
        like_h5py()


def test_a_full_disk_is_seen_through_a_chain_of_errors(tmp_path):
    with pytest.raises(UserError, match="the disk is full"), explain(tmp_path / "a.pt"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("unexpected pos 64 vs 0") from error


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="shapes differ"), explain(tmp_path / "a"):
        raise RuntimeError("shapes differ")
    with pytest.raises(IsADirectoryError), explain(tmp_path / "a"):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    assert reason_of(ValueError("no")) is None


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(UserError, match="a part of the path is a file"):
        write_text(tmp_path / "a" / "b.txt", "x")
    assert files(tmp_path) == ["a"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_real_full_disk_is_told(tmp_path):
    def write_on_full_disk():
        with replacing(tmp_path / "a.txt") as temporary, open("/dev/full", "w") as full:
            temporary.write_text("x")
            full.write(temporary.read_text())

    with pytest.raises(UserError, match="the disk is full"):
        write_on_full_disk()


def test_a_file_that_cannot_fit_is_refused_before_it_is_begun(tmp_path):
    require_space(tmp_path / "a.h5", 1000)
    with pytest.raises(UserError, match=r"a\.h5: it needs 1e\+09|it needs 1000000000000000\.0 MB"):
        require_space(tmp_path / "a.h5", 10**21)
