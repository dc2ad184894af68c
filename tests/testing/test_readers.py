from __future__ import annotations

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.interfaces import Record, Volume
from memtk.testing import check_reader


def test_a_sound_reader_passes_and_leaves_the_file_as_it_was(sound_reader, grid_file):
    before = grid_file.read_bytes()
    check_reader(sound_reader, grid_file)
    assert grid_file.read_bytes() == before


def test_the_folder_of_a_series_is_damaged_in_its_largest_file(sound_reader, tmp_path):
    class Series(sound_reader):
        def records(self, path):
            for part in self.parts(path):
                super().records(part)
            return [Record(path)]

        def read(self, record):
            parts = [super(Series, self).read(Record(p)).voxels for p in self.parts(record.path)]
            return Volume(np.stack(parts, 1), (1.0, 1.0, 1.0))

        def parts(self, path):
            if not path.is_dir():
                raise UserError(f"cannot read {path}")
            return sorted(path.iterdir())

    folder = tmp_path / "series"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.grid").write_text("2 3\n1 2 3 4 5 6\n")
    check_reader(Series, folder)


def volume(**changes):
    sound = {"voxels": np.zeros((1, 2, 3)), "spacing": (1.0, 1.0), "affine": None}
    return Volume(**{**sound, **changes})


VOLUMES = {
    "array": (np.zeros((1, 2, 3)), "read gives a ndarray, not a Volume"),
    "flat": (volume(voxels=np.zeros((2, 3))), "read gives voxels of shape (2, 3), expected"),
    "list": (volume(voxels=[1]), "read gives voxels of shape (1,)"),
    "complex": (volume(voxels=np.zeros((1, 2, 3), complex)), "of dtype complex128, not a real"),
    "none": (volume(voxels=np.zeros((1, 0, 3))), "read gives no voxels"),
    "spacing": (volume(spacing=(1.0,)), "gives the spacing (1.0,), expected 2 sizes in mm"),
    "affine": (volume(affine=np.eye(3)), "gives an affine of shape (3, 3), expected (4, 4)"),
}


@pytest.mark.parametrize("way", VOLUMES)
def test_an_unsound_volume_is_told(sound_reader, grid_file, complaint, way):
    made, sentence = VOLUMES[way]
    broken = type("Broken", (sound_reader,), {"read": lambda self, record: made})
    assert sentence in complaint(check_reader, broken, grid_file)


RECORDS = {
    "none": (lambda path: [], "records finds no image in a.grid"),
    "path": (lambda path: [path], "not a Record"),
}


@pytest.mark.parametrize("way", RECORDS)
def test_unsound_records_are_told(sound_reader, grid_file, complaint, way):
    made, sentence = RECORDS[way]
    broken = type("Broken", (sound_reader,), {"records": lambda self, path: made(path)})
    assert sentence in complaint(check_reader, broken, grid_file)


def test_records_that_differ_from_time_to_time_are_told(sound_reader, grid_file, complaint):
    class Forgetful(sound_reader):
        count = 0

        def records(self, path):
            self.count += 1
            return [Record(path, str(self.count))]

    assert "lists others the second time" in complaint(check_reader, Forgetful, grid_file)


@pytest.mark.parametrize(
    ("suffixes", "sentence"),
    [
        ((), "is (), not a tuple of what file names end in"),
        (".grid", "not a tuple"),
        ((".GRID",), "suffixes has '.GRID'"),
        ((".png",), "do not fit the example a.grid"),
    ],
)
def test_unsound_suffixes_are_told(sound_reader, grid_file, complaint, suffixes, sentence):
    broken = type("Broken", (sound_reader,), {"suffixes": suffixes})
    assert sentence in complaint(check_reader, broken, grid_file)


def test_a_damaged_file_that_is_read_is_told(sound_reader, grid_file, complaint):
    class Lenient(sound_reader):
        def lines(self, path, size=-1):
            try:
                return super().lines(path, size)
            except UserError:
                return ["2 3", "1 2 3 4 5 6"]

    assert "Lenient reads a file that is of other content" in complaint(
        check_reader, Lenient, grid_file
    )


def test_half_a_file_taken_for_the_whole_is_told(sound_reader, grid_file, complaint):
    class Filling(sound_reader):
        def read(self, record):
            head, body = self.lines(record.path)
            voxels = np.zeros(6)
            found = [float(v) for v in body.split()]
            voxels[: len(found)] = found
            return Volume(voxels.reshape(1, 2, 3), (1.0, 1.0))

    assert "Filling reads a file that is truncated" in complaint(check_reader, Filling, grid_file)


def test_whatever_a_reader_raises_about_a_broken_file_becomes_a_sentence(sound_reader, grid_file):
    class Careless(sound_reader):
        def read(self, record):
            head, body = self.lines(record.path)
            shape = [int(n) for n in head.split()]
            return Volume(np.array(body.split(), float).reshape(1, *shape), (1.0, 1.0))

        def lines(self, path, size=-1):
            path.stat()
            return super().lines(path, size)

    check_reader(Careless, grid_file)


def test_an_error_that_names_no_file_is_told(sound_reader, grid_file, complaint):
    class Silent(sound_reader):
        def lines(self, path, size=-1):
            try:
                return super().lines(path, size)
            except UserError:
                raise UserError("cannot read it") from None

    assert "does not name it: cannot read it" in complaint(check_reader, Silent, grid_file)
