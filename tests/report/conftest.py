"""Made-up runs of memtk.testing, with their reports."""

from __future__ import annotations

import shutil

import pytest
from fake_runs import write_audit_run, write_run

from memtk.report import build_audit_report, build_report
from memtk.results import read_run

TWO = {"cells": {"monai+aug": 0.6, "independent": 0.0}}


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """`kept(write, *asked, **more)`: the folder of a made-up run, made once, to be copied."""
    folders = {}

    def find(write, *asked, **more):
        key = repr((write.__name__, asked, sorted(more.items())))
        if key not in folders:
            folders[key] = write(tmp_path_factory.mktemp("kept") / "Doe_John_1957", *asked, **more)
        return folders[key]

    return find


@pytest.fixture
def make_run(kept, tmp_path):
    """`make_run(shape=..., cells=..., ...)`: see `write_run`."""
    place = tmp_path / "Doe_John_1957"
    return lambda **asked: shutil.copytree(kept(write_run, **asked), place)


@pytest.fixture
def make_audit_run(kept, tmp_path):
    """`make_audit_run(shape, copied=..., ...)`: see `write_audit_run`."""
    place = tmp_path / "Doe_John_1957"
    return lambda *shape, **asked: shutil.copytree(kept(write_audit_run, *shape, **asked), place)


@pytest.fixture(scope="session")
def finished(kept, tmp_path_factory):
    """A run of two generators with its report, to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "Doe_John_1957"
    shutil.copytree(kept(write_run, **TWO), folder)
    build_report(folder)
    return folder


@pytest.fixture
def results(kept):
    """Of the two generators: one that memorized, one that did not."""
    return read_run(kept(write_run, **TWO)).results


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """The folder of an audit that fails, with its report, to be read only."""
    folder = write_audit_run(tmp_path_factory.mktemp("audits") / "Doe_John_1957", copied=0.4)
    build_audit_report(folder)
    return folder


@pytest.fixture
def plain(monkeypatch):
    """Leave the figures undrawn, where a test is not about them."""
    blank = "data:image/svg+xml;base64,"
    monkeypatch.setattr("memtk.report.page.both_widths", lambda draw: (blank, blank))
