from __future__ import annotations

import json

import pytest

from memtk.errors import UserError
from memtk.results import read_checkpoint, read_result, write_checkpoint, write_result
from memtk.results.migrations import SCHEMA
from memtk.results.store import StoredRecord, read_record


def test_what_is_written_is_read_again(tmp_path, make_result):
    result = make_result(dar=29)
    write_result(tmp_path / "deep/result.json", result)
    assert read_result(tmp_path / "deep/result.json") == result
    write_checkpoint(tmp_path / "step.json", result.last)
    assert read_checkpoint(tmp_path / "step.json") == result.last
    assert [p.name for p in tmp_path.rglob("*.tmp")] == []


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_newer_schema_is_refused_by_name(tmp_path, make_result):
    path = tmp_path / "result.json"
    write_result(path, make_result())
    change(path, schema_version=SCHEMA + 1, something_new=1)
    said = rf"result\.json has schema {SCHEMA + 1}; this memtk reads schema {SCHEMA}: update memtk"
    with pytest.raises(UserError, match=said):
        read_result(path)


def test_an_unknown_key_is_refused_by_name(tmp_path, make_result):
    path = tmp_path / "result.json"
    write_result(path, make_result())
    change(path, sead=3)
    with pytest.raises(UserError, match=r"result\.json does not fit: sead"):
        read_result(path)


@pytest.mark.parametrize("text", ['{"schema_version": 1, "ce', "[]", "", "\x00\x01", '"text"'])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"result\.json(.|\n)*run the same command again"):
        read_result(path)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        read_result(path)


def test_a_missing_folder_is_named_as_one(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere$"):
        read_result(tmp_path / "nowhere" / "result.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*result\.json"):
        read_result(tmp_path / "result.json")


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_result(tmp_path)


NUMBERS = (10**400, str(10**400), "9" * 30, -(10**30), str(2**63))


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}")
def test_a_whole_number_that_no_count_can_be_is_refused_however_it_is_written(number, tmp_path):
    class Counted(StoredRecord):
        count: int = 0
        parts: dict[str, list[int]] = {}

    for content in ({"count": number}, {"parts": {"a": [1, number]}}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match="a whole number of more than 63 bits|is damaged"):
            read_record(tmp_path / "a.json", Counted)
    for digits in ("9" * 4301, "-" + "9" * 5000, "1" * 100_000):  # more than Python takes at once
        (tmp_path / "a.json").write_text(f'{{"count": {digits}}}')
        with pytest.raises(UserError, match=r"\(it has a whole number of more than 63 bits\)"):
            read_record(tmp_path / "a.json", Counted)
    (tmp_path / "a.json").write_text(json.dumps({"count": str(2**62), "parts": {"9" * 30: [1]}}))
    assert read_record(tmp_path / "a.json", Counted).count == 2**62
