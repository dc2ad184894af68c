import hashlib
import json
import os

from memtk.data.contents import hash_files


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
