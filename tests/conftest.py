"""Fixtures for tests of every folder."""

from __future__ import annotations

import textwrap
import uuid
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from matplotlib.figure import Figure

HERE = Path(__file__).parent

UNMEASURED = {"plugins", "skeleton", "test_docs.py", "test_docs_commands.py", "test_third_party.py"}
"""Tests of what is not in memtk/. Lines are counted at half again the time of the tests."""

SLOW = frozenset((HERE / "slow.txt").read_text(encoding="utf-8").split())
"""Files and folders whose tests train, start programs or draw: `make quick` leaves them out."""


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        place = item.path.relative_to(HERE)
        if place.parts[0] in UNMEASURED:
            item.add_marker("no_cover")
        if not SLOW.isdisjoint({place.as_posix(), *(p.as_posix() for p in place.parents)}):
            item.add_marker("slow")


@pytest.fixture
def write_plugin(tmp_path, monkeypatch):
    """Install a plugin: `write_plugin(name, source, package, version)` gives its entry point."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(name, source="", package=None, version="1.0"):
        module = f"{name.replace('-', '_')}_{uuid.uuid4().hex[:8]}"
        head = "from memtk import Component, hookimpl\n"
        (folder / f"{module}.py").write_text(head + textwrap.dedent(source))
        package = package or f"memtk-{name}"
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[memtk]\n{name} = {module}\n")
        return next(iter(Distribution.at(info).entry_points))

    return write


@pytest.fixture
def blank_figures(monkeypatch):
    """Leave the figures of reports blank: drawing them takes half the time of a small run."""
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **how: file.write(b"<svg/>"))
