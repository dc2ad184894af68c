"""Fixtures for tests of every folder."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import textwrap
import threading
import uuid
from contextlib import ExitStack
from importlib.metadata import Distribution
from pathlib import Path

import numpy as np
import pytest

from memtk.registry import open_registry

HERE = Path(__file__).parent

SLOW = frozenset((HERE / "slow.txt").read_text(encoding="utf-8").split())
"""Files and folders whose tests train, start programs or draw: `make quick` leaves them out."""

UNMEASURED = frozenset((HERE / "unmeasured.txt").read_text(encoding="utf-8").split())
"""Those in which no line of memtk/ is counted: others run the same lines, and counting takes half
as long again as the tests themselves."""

DRAWN = frozenset({"report", "hostile/test_result_files.py"})
"""Those in which the figures of reports are drawn; that takes longer than a small run."""

BLANK = "data:image/svg+xml;base64,"


def stands_in(path, places):
    """Whether a file or folder is one of some places below this folder, or lies in one of them."""
    if not path.is_relative_to(HERE):
        return False
    place = path.relative_to(HERE)
    return not places.isdisjoint({place.as_posix(), *(p.as_posix() for p in place.parents)})


def pytest_ignore_collect(collection_path, config):
    """Where no slow test is wanted their files aren't imported: it takes longer than the others."""
    if config.getoption("markexpr") == "not slow" and stands_in(collection_path, SLOW):
        return True
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")
        if stands_in(item.path, SLOW):
            item.add_marker("slow")


def pytest_collection_finish():
    """Modules and tests stay until the end: the collector needn't go through them each time."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Leave out what takes long, in a test and in the fixtures that it sets up: waiting for disks,
    figures where the test is not of `DRAWN`, counting lines where it is of `UNMEASURED`."""
    plugin = item.config.pluginmanager.get_plugin("_cov")
    counter = getattr(plugin, "cov_controller", None)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(os, "fsync", lambda file: None)
        if not stands_in(item.path, DRAWN):
            patch.setattr("memtk.report.page.both_widths", lambda draw: (BLANK, BLANK))
        if counter is not None and stands_in(item.path, UNMEASURED):
            counter.pause()
            stack.callback(counter.resume)
        return (yield)


class Calls:
    """Counts the calls within a block, of Python and of what is built in, in all threads."""

    def __enter__(self):
        self.count = 0
        threading.setprofile(self._count)
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)

    def _count(self, frame, event, argument):
        self.count += event in {"call", "c_call"}


@pytest.fixture
def calls():
    """`with calls() as made: ...` counts calls in `made.count`: no load of a machine changes it."""
    return Calls


@pytest.fixture(scope="session")
def registry():
    """All installed components."""
    return open_registry()


@pytest.fixture(scope="session")
def pearson(registry):
    return registry.load("similarity", "pearson")()


@pytest.fixture(scope="session")
def euclidean(registry):
    return registry.load("similarity", "euclidean")()


@pytest.fixture(scope="session")
def ncc(registry):
    return registry.load("similarity", "ncc")()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Lazy:
    """A set that can only be read slice by slice, and notes what is read."""

    def __init__(self, rows):
        self.rows, self.reads = rows, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, where):
        assert isinstance(where, slice)
        found = self.rows[where]
        self.reads.append(len(found))
        return found


@pytest.fixture
def lazy():
    return Lazy


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


@pytest.fixture(scope="session")
def real_data():
    """The folder `MEMTK_DATA`; a test that asks for it is marked `data`, and skipped without it."""
    folder = os.environ.get("MEMTK_DATA")
    if not folder:
        pytest.skip("MEMTK_DATA names no folder with real images")
    return Path(folder)


@pytest.fixture(scope="session")
def start_browser(tmp_path_factory):
    """`start_browser(*flags)` gives a Chromium of its own; see `tests/chromium.py`."""
    spec = importlib.util.spec_from_file_location("chromium", HERE / "chromium.py")
    chromium = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chromium)
    started = []

    def start(*flags):
        browser = chromium.start(tmp_path_factory.mktemp("profile"), *flags)
        if browser is None:
            pytest.skip("Chromium is not installed: apt-get install chromium")
        started.append(browser)
        return browser

    yield start
    for browser in started:
        browser.close()


@pytest.fixture(scope="session")
def browser(start_browser):
    """The Chromium that most tests share."""
    return start_browser()
