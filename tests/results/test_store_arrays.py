from __future__ import annotations

import re

import h5py
import numpy as np
import pytest

from memtk.errors import UserError
from memtk.results import read_arrays, write_arrays

ONE = {
    "similarity": np.array([0.1, 0.9]),
    "index": np.array([3, 1], dtype=np.int64),
    "flagged": np.array([True, False]),
    "embedding": np.zeros((2, 4), dtype=np.float32),
}


def same(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(first[k], second[k]) and first[k].dtype == second[k].dtype for k in first
    )


def test_arrays_come_back_with_their_dtypes(tmp_path):
    write_arrays(tmp_path / "new/arrays.h5", "step-000100", ONE)
    assert same(read_arrays(tmp_path / "new/arrays.h5", "step-000100"), ONE)


def test_another_group_is_added_and_the_first_stays(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", ONE)
    write_arrays(path, "b", {"index": np.arange(3)})
    assert same(read_arrays(path, "a"), ONE) and len(read_arrays(path, "b")["index"]) == 3


def test_a_group_of_that_name_is_replaced_whole(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", ONE)
    write_arrays(path, "a", {"index": np.arange(3)})
    assert read_arrays(path, "a").keys() == {"index"}


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", ONE)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_arrays(path, "b", {"x": np.array([object()])})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["arrays.h5"]


def test_a_missing_file_and_a_missing_group_are_named(tmp_path):
    path = tmp_path / "arrays.h5"
    with pytest.raises(UserError, match=r"there is no .*arrays\.h5"):
        read_arrays(path, "a")
    write_arrays(path, "a", ONE)
    with pytest.raises(UserError, match=r"arrays\.h5 has no group 'b': it has a"):
        read_arrays(path, "b")


def test_a_damaged_file_is_named_and_not_written_over(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", ONE)
    path.write_bytes(path.read_bytes()[:300])
    for attempt in (lambda: read_arrays(path, "a"), lambda: write_arrays(path, "b", ONE)):
        with pytest.raises(UserError, match=r"arrays\.h5 is damaged"):
            attempt()


def test_damage_inside_an_array_is_noticed_when_it_is_read(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", {"x": np.full(4096, 7.0)})
    data = bytearray(path.read_bytes())
    where = data.find(np.full(8, 7.0).tobytes())
    data[where : where + 8] = b"\x00" * 8
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"arrays\.h5 is damaged"):
        read_arrays(path, "a")


@pytest.mark.parametrize("kind", ["S4", "V8", "c16", h5py.string_dtype()], ids=str)
def test_arrays_that_are_no_numbers_are_damage(kind, tmp_path):
    with h5py.File(tmp_path / "arrays.h5", "w") as file:
        file.create_dataset("a/x", 3, dtype=kind)
    with pytest.raises(UserError, match=r"arrays\.h5 is damaged"):
        read_arrays(tmp_path / "arrays.h5", "a")


def test_damage_in_another_group_is_noticed_when_one_is_added(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", ONE)
    write_arrays(path, "b", ONE)
    data = path.read_bytes()
    places = [m.start() for m in re.finditer(b"TREE|SNOD|HEAP", data)]
    refused = 0
    for place in places[2:]:
        path.write_bytes(data[: place + 8] + b"\xff" * 16 + data[place + 24 :])
        try:
            write_arrays(path, "c", ONE)
        except UserError as error:
            refused += "arrays.h5 is damaged" in str(error)
    assert refused


def test_no_array_holds_nan(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", {"x": np.array([0.5, np.nan])})
    with pytest.raises(UserError, match=r"arrays\.h5 is damaged"):
        read_arrays(path, "a")


def set_to(name, value):
    def edit(group):
        del group[name]
        group[name] = value

    return edit


EDITS = {
    "shorter": set_to("similarity", ONE["similarity"][:1]),
    "reshaped": set_to("embedding", ONE["embedding"].reshape(4, 2)),
    "flat": set_to("embedding", ONE["embedding"].ravel()),
    "of other numbers": set_to("index", ONE["index"] + 10**9),
    "of another kind of number": set_to("index", ONE["index"].astype(float)),
    "gone": lambda group: group.pop("index"),
    "more": lambda group: group.create_dataset("more", data=[1.0]),
    "called otherwise": lambda group: group.move("index", "indices"),
    "of an odd digest": lambda group: group.attrs.update({"digest": [1, 2]}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_arrays_that_a_person_has_changed_are_refused_and_others_read(edit, tmp_path):
    path = tmp_path / "arrays.h5"
    for group in "ab":
        write_arrays(path, group, ONE)
    with h5py.File(path, "r+") as file:
        EDITS[edit](file["a"])
    with pytest.raises(UserError, match=r"arrays\.h5 is not as memtk wrote it .*'a'.*: delete it"):
        read_arrays(path, "a")
    assert same(read_arrays(path, "b"), ONE)


def test_arrays_of_older_versions_which_note_no_digest_are_read(tmp_path):
    path = tmp_path / "arrays.h5"
    write_arrays(path, "a", ONE)
    with h5py.File(path, "r+") as file:
        del file["a"].attrs["digest"]
    assert same(read_arrays(path, "a"), ONE)
