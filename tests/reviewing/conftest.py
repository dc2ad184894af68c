"""Made-up runs whose pairs are read."""

from __future__ import annotations

import shutil

import pytest

from memtk.testing.fake_runs import write_audit_run, write_run


@pytest.fixture(scope="session")
def kept_runs(tmp_path_factory):
    """A bench of pictures and an audit of volumes, to be copied."""
    folder = tmp_path_factory.mktemp("runs") / "Doe_John_1957"
    write_run(folder / "flat", shape=(16, 16), count=40)
    write_audit_run(folder / "solid", (10, 12, 8), copied=0.4, sizes=(30, 30, 40))
    return folder


@pytest.fixture
def runs(kept_runs, tmp_path):
    """The same, to be written to: `flat` and `solid`."""
    return shutil.copytree(kept_runs, tmp_path / "Doe_John_1957")
