"""Paths that no file can have are refused by memtk's functions in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import memtk

SETS = {name: np.random.default_rng(n).normal(size=(20, 9, 8)).cumsum(1)
        for n, name in enumerate(("train", "validation", "synthetic"))}  # fmt: skip
QUICK = {"similarity": "ncc", "plants": 0, "exposure": False, "progress": False}
ODD = {"a null byte": "a\0b", "half of a character": "\ud800x", "a name too long": "x" * 5000}
NO_PATHS = {"a number": 7, "bytes": b"abc", "a list": ["a"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return memtk.audit(**SETS, **QUICK, out=tmp_path_factory.mktemp("run") / "a")


def takes(name, value, done):
    """Give a path to whatever of memtk's functions takes it as this argument."""
    if name in ("out", "policy", "weights", *SETS, "held_out"):
        memtk.audit(**SETS | QUICK | {"out": done.folder.parent / "b"} | {name: value})
    elif name == "run":
        memtk.review(value)
    elif name in ("to_json", "report"):
        getattr(done, name)(value)
    else:
        getattr(memtk.review(done.folder), name)(value)


PLACES = ("out", "policy", "run", "to_json", "report", "add", "export")


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", [*PLACES, "weights", *SETS, "held_out"])
def test_a_path_that_no_file_can_have_is_refused(name, odd, done):
    with pytest.raises(memtk.UserError, match="no file can be called so|the name is too long") as e:
        takes(name, ODD[odd], done)
    assert "\n" not in str(e.value) and str(e.value).isprintable() and len(str(e.value)) < 250


@pytest.mark.parametrize("odd", NO_PATHS)
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_path_is_refused(name, odd, done):
    with pytest.raises(
        memtk.UserError, match=f"= is of type {type(NO_PATHS[odd]).__name__}: give a"
    ):
        takes(name, NO_PATHS[odd], done)


def test_what_an_audit_gave_can_be_reviewed(done):
    assert repr(memtk.review(done)) == repr(memtk.review(done.folder))


class Place(os.PathLike):
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def test_whatever_is_a_path_is_taken(done, tmp_path):
    for number, kind in enumerate((str, Path, Place)):
        page = done.report(kind(tmp_path / f"{number}.html"))
        assert page.is_file()
        for name, images in SETS.items():
            (tmp_path / name).mkdir(exist_ok=True)
            for row, image in enumerate(images):
                np.save(tmp_path / name / f"{row}.npy", image)
    given = {name: Place(tmp_path / name) for name in SETS}
    assert memtk.audit(**given, **QUICK, out=Place(tmp_path / "run")).folder == tmp_path / "run"
