from __future__ import annotations

import os

import pytest

from memtk.study.tasks import hard_link


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.h5").write_text("images")
    (folder / "deep" / ".a.h5.tmp").write_text("half")
    return folder


def test_files_lie_once_on_the_disk_and_half_written_ones_are_left(source, tmp_path):
    hard_link(source, tmp_path / "target")
    assert [p.name for p in (tmp_path / "target").rglob("*")] == ["deep", "a.h5"]
    assert (source / "deep" / "a.h5").samefile(tmp_path / "target" / "deep" / "a.h5")


def test_what_is_there_already_stays(source, tmp_path):
    own = tmp_path / "target" / "deep" / "a.h5"
    own.parent.mkdir(parents=True)
    own.write_text("own")
    hard_link(source, tmp_path / "target")
    assert own.read_text() == "own"


def test_without_hard_links_the_files_are_copied(source, tmp_path, monkeypatch):
    def none(*paths):
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", none)
    hard_link(source, tmp_path / "target")
    copy = tmp_path / "target" / "deep" / "a.h5"
    assert copy.read_text() == "images" and not copy.samefile(source / "deep" / "a.h5")
