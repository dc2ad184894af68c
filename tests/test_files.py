from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memtk.errors import UserError
from memtk.files import (
    are_unchanged,
    explain,
    file_digest,
    folder_digest,
    hash_files,
    reason_of,
    replacing,
    require_space,
    write_text,
)


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


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_plain_file_is_never_replaced(tmp_path, kind):
    path = tmp_path / "a"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(UserError, match="it is no plain file, but a folder or a device"):
        write_text(path, "new")
    assert path.is_fifo() == (kind == "pipe") and files(tmp_path) == ["a"]


def test_what_a_killed_process_left_of_a_file_goes_and_nothing_else(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    alive = os.getppid()
    names = {
        f".a.txt.{gone.pid:06x}ab.tmp": False,
        f".a.txt.{os.getpid():06x}ab.tmp": False,  # in a container all have one number
        f".a.txt.{alive:06x}ab.tmp": True,
        f".b.txt.{gone.pid:06x}ab.tmp": True,
        f".a.txt.b.{gone.pid:06x}ab.tmp": True,
        ".a.txt.mine.tmp": True,
    }
    for name in names:
        (tmp_path / name).touch()
    write_text(tmp_path / "a.txt", "new")
    assert files(tmp_path) == sorted(["a.txt", *(n for n, stays in names.items() if stays)])


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
    with pytest.raises(UserError, match=r"a\.h5: it needs 1\.1 ZB and"):
        require_space(tmp_path / "a.h5", 10**21)


WRITES = """
import resource, sys
import numpy as np
from memtk.results.store import write_arrays
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
count, size = map(int, sys.argv[2:])
write_arrays(Path("a.h5"), "step", {f"x{n}": np.random.rand(size) for n in range(count)})
"""


@pytest.mark.skipif(os.name != "posix", reason="no such limit here")
@pytest.mark.parametrize(
    ("count", "size", "needed", "limits"),
    [(30, 1000, "563.0 kB", (1_000, 60_000, 300_000, 550_000)),
     (300, 1, "1.2 MB", (100_000, 250_000, 700_000, 1_190_000)), (1000, 2, "3.5 MB", (2_400_000,)),
     (1, 100_000, "1.1 MB", (1_000_000,))],
)  # fmt: skip
def test_a_file_that_may_not_be_so_large_is_refused_before_hdf5_crashes_the_process(
    tmp_path, count, size, needed, limits
):
    for limit in limits:
        words = [sys.executable, "-c", WRITES, str(limit), str(count), str(size)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and f"a.h5: it needs {needed} and " in done.stderr
        assert "a file may not be so large here (ulimit -f)" in done.stderr.splitlines()[-1]
        assert "_dealloc" not in done.stderr and not list(tmp_path.iterdir())
    words[3] = str(int(float(needed.split()[0]) * {"kB": 1000, "MB": 10**6}[needed[-2:]] * 1.05))
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 0


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


def test_hashes_are_sha256_and_files_are_hashed_once(tmp_path):
    file, folder, index = tmp_path / "a", tmp_path / "d", tmp_path / "index.json"
    file.write_bytes(b"hello")
    folder.mkdir()
    (folder / "1").write_bytes(b"x")
    events = []
    first = hash_files([file, folder], index, events.append)
    assert first[file] == hashlib.sha256(b"hello").hexdigest()
    inner = hashlib.sha256(b"x").hexdigest()
    assert first[folder] == hashlib.sha256(inner.encode()).hexdigest()
    assert [e.kind for e in events] == ["start", "step", "step", "end"]
    events.clear()
    assert hash_files([file, folder], index, events.append) == first and events == []


def test_a_changed_file_is_hashed_again_even_with_its_old_time_and_size(tmp_path):
    file, index = tmp_path / "a", tmp_path / "index.json"
    file.write_bytes(b"hello")
    status = file.stat()
    before = hash_files([file], index)
    file.write_bytes(b"hallo")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_files([file], index) != before


def test_a_damaged_index_is_made_anew(tmp_path):
    file, index = tmp_path / "a", tmp_path / "index.json"
    file.write_bytes(b"hello")
    first = hash_files([file], index)
    for text in ("{", "[]", json.dumps({str(file): 3})):
        index.write_text(text)
        assert hash_files([file], index) == first


def test_a_file_that_cannot_be_read_has_no_hash(tmp_path):
    assert hash_files([tmp_path / "gone"], tmp_path / "i.json") == {tmp_path / "gone": ""}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_plain_file_is_never_opened_for_its_hash(tmp_path, kind):
    path = Path("/dev/zero") if kind == "device" else tmp_path / "a"  # to read it has no end
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    assert hash_files([path], tmp_path / "i.json") == {path: ""}
    assert are_unchanged([path], tmp_path / "i.json") == [False]
    with pytest.raises(UserError, match="no plain file"):
        file_digest(path)
