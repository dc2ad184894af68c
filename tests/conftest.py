"""Fixtures for tests of every folder."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import json
import os
import select
import shutil
import subprocess
import textwrap
import time
import uuid
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
    """Count no lines in the tests of `UNMEASURED`, nor in the fixtures that they set up."""
    plugin = item.config.pluginmanager.get_plugin("_cov")
    counter = getattr(plugin, "cov_controller", None)
    if counter is None or not stands_in(item.path, UNMEASURED):
        return (yield)
    counter.pause()
    try:
        return (yield)
    finally:
        counter.resume()


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


@pytest.fixture
def blank_figures(monkeypatch):
    """Leave the figures of reports blank: drawing them takes half the time of a small run."""
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, file, **how: file.write(b"<svg/>")
    )


@pytest.fixture(scope="session")
def real_data():
    """The folder `MEMTK_DATA`; a test that asks for it is marked `data`, and skipped without it."""
    folder = os.environ.get("MEMTK_DATA")
    if not folder:
        pytest.skip("MEMTK_DATA names no folder with real images")
    return Path(folder)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium; see `tests/chromium.py`."""
    spec = importlib.util.spec_from_file_location("chromium", HERE / "chromium.py")
    chromium = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chromium)
    browser = chromium.start(tmp_path_factory.mktemp("profile"))
    if browser is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")


NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--window-size=1400,900", "--remote-debugging-pipe"),
)
WAIT = 20
"""Seconds for an answer, on a busy machine."""


class Browser:
    """Speaks with Chromium: commands out by descriptor 3, answers in by descriptor 4."""

    def __init__(self, program, profile):
        ours, theirs = os.pipe(), os.pipe()  # what it reads, what it writes
        ends = (ours[0], theirs[1])

        def place():
            spare = [os.dup(end) for end in ends]  # neither is 3 or 4 while the other is placed
            for number, end in zip((3, 4), spare, strict=True):
                os.dup2(end, number)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=place,
            close_fds=False,
        )
        for end in ends:
            os.close(end)
        self.write, self.read = ours[1], theirs[0]
        self.numbers, self.buffer, self.session = itertools.count(1), b"", None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]

    def __call__(self, method, **params):
        """Give a command and return its answer; what it tells meanwhile is dropped."""
        number = next(self.numbers)
        said = {"id": number, "method": method, "params": params}
        said |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(said).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        until = time.monotonic() + WAIT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self.read, 1 << 16)
            assert piece, "Chromium has ended"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def evaluate(self, code):
        """Return what an expression of the page gives."""
        said = self("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def expect(self, code, value):
        """Wait until an expression of the page gives a value: events of the page take a moment."""
        until = time.monotonic() + WAIT
        while (found := self.evaluate(code)) != value:
            assert time.monotonic() < until, (code, found, value)
            time.sleep(0.02)

    def open(self, page):
        self("Page.navigate", url=page.as_uri())
        self.expect(
            f"location.href.startsWith('{page.as_uri()}') && document.readyState", "complete"
        )

    def click(self, selector):
        """Press and release the mouse in the middle of an element."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self("Browser.close")
        try:
            self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write)
        os.close(self.read)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium, driven by its own protocol over two pipes: nothing is installed beside it."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
