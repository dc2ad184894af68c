from __future__ import annotations

import csv

import numpy as np
import pytest

from memtk.config import build
from memtk.data.config import PhantomConfig
from memtk.data.phantom_files import write_phantoms
from memtk.errors import UserError

SIZES = {"training": 3, "validation": 2, "held_out": 1, "size": 8, "images_per_patient": 2}


@pytest.fixture
def write(tmp_path):
    def run(name, file_format=None, folder="made", **keys):
        config = build(PhantomConfig, SIZES | keys, where="data.phantom")
        return write_phantoms(name, tmp_path / folder, config, file_format=file_format)

    return run


@pytest.mark.parametrize(
    ("name", "file_format", "error"),
    [
        ("phantom3d", None, 0),
        ("phantom3d", "npz", 0),
        ("phantom2d", "npz", 0),
        ("phantom2d", None, 1),
    ],
)
def test_the_files_hold_the_very_phantoms_of_the_suites(write, ready, name, file_format, error):
    made, _ = ready(write(name, file_format), percentiles=(0, 100))
    own, _ = ready(name, phantom=SIZES)
    assert made.counts() == own.counts()
    for split in ("training", "validation", "held_out"):
        ours = made.split(split).read(range(len(made.split(split)))).numpy()
        theirs = own.split(split).read(range(len(own.split(split)))).numpy()
        low, high = (
            f(theirs, axis=tuple(range(1, theirs.ndim)), keepdims=True) for f in (np.min, np.max)
        )
        wanted = 2 * (theirs - low) / (high - low) - 1  # each is scaled to [-1, 1] when it is read
        assert np.abs(ours - wanted).max() <= error / 60 + 1e-5  # PNG has 256 levels


def test_the_manifest_names_patient_and_split(write):
    with open(write("phantom2d")) as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"path": "images/P0000000_0.png", "patient_id": "P0000000", "split": "train"}
    assert {r["split"] for r in rows} == {"train", "val", "test"}
    assert len({r["patient_id"] for r in rows}) == 6 and len(rows) == 12


def test_the_same_call_writes_the_same_bytes(write):
    first, second = write("phantom3d", folder="a").parent, write("phantom3d", folder="b").parent
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_a_folder_with_something_in_it_is_left_alone(write):
    write("phantom2d")
    with pytest.raises(UserError, match="is not empty"):
        write("phantom2d")


def test_a_format_that_does_not_fit_is_refused(write):
    with pytest.raises(UserError, match="phantom3d is written as nifti or npz, not as png"):
        write("phantom3d", "png")


def test_no_images_at_all_are_refused(write):
    with pytest.raises(UserError, match="no images"):
        write("phantom2d", training=0, validation=0, held_out=0)
