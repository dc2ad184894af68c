"""Made-up runs of memtk.testing, with their reports."""

from __future__ import annotations

from functools import partial

import pytest

from memtk.report import build_audit_report, build_report
from memtk.results import read_run
from memtk.testing.fake_runs import write_audit_run, write_run


@pytest.fixture
def make_run(tmp_path):
    """`make_run(shape=..., cells=..., ...)`: see `write_run`."""
    return partial(write_run, tmp_path / "Doe_John_1957")


@pytest.fixture
def make_audit_run(tmp_path):
    """`make_audit_run(shape, copied=..., ...)`: see `write_audit_run`."""
    return partial(write_audit_run, tmp_path / "Doe_John_1957")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two generators with its report, to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "Doe_John_1957"
    write_run(folder, cells={"monai+aug": 0.6, "independent": 0.0})
    build_report(folder)
    return folder


@pytest.fixture
def results(finished):
    """Of the two generators: one that memorized, one that did not."""
    return read_run(finished).results


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
