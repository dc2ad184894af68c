"""Paths that no file can have, and names that are no texts, are refused in a sentence."""

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


@pytest.fixture(scope="module")
def reading(done):
    reading = memtk.review(done, pairs=4, controls=1)
    yield reading
    for path in reading.reviewed.folder.glob("labels-*"):
        path.unlink()


def named(name, value, reading, folder):
    """Give what should be a name to whatever of `memtk.review` takes one."""
    pair = reading.pairs[0]
    match name:
        case "reader of label":
            reading.label(value, {pair: "copy"})
        case "reader of no labels":
            reading.label(value, {})
        case "reader of export":
            reading.export(folder / "page.html", value)
        case "reader of add":
            reading.label("ann", {pair: "copy"})
            reading.add(next(reading.reviewed.folder.glob("labels-*")), value)
        case "pair of images":
            reading.images(value)
        case "labels of label":
            reading.label("ann", value)
        case "label of label":
            reading.label("ann", {pair: value})
        case "cell of review":
            memtk.review(reading.reviewed.folder.parent, cell=value)


NAMES = ("reader of label", "reader of no labels", "reader of export", "reader of add",
         "pair of images", "labels of label", "label of label", "cell of review")  # fmt: skip
NO_NAMES = (b"..", 7, 0.5, ["a"], np.array([1, 2]), Path("a"), str, object(), b"", 0, False)


@pytest.mark.parametrize("value", NO_NAMES, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_name_is_refused(name, value, reading, tmp_path):
    with pytest.raises(memtk.UserError) as e:
        named(name, value, reading, tmp_path)
    kind = type(value).__name__
    said = (
        "a pair is novel" if name == "label of label" else f"{name.split()[0]}= is of type {kind}"
    )
    assert said in str(e.value)
    assert not (tmp_path / "page.html").exists()


def test_names_that_are_texts_are_taken(reading, tmp_path):
    reading.label(np.str_("ann"), {reading.pairs[0]: np.str_("copy")})
    assert reading.export(tmp_path / "page.html", "ann").exists()
    assert [each.shape for each in reading.images(np.str_(reading.pairs[0]))] == [(1, 9, 8)] * 2


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
