"""Made-up runs whose pairs are read."""

from __future__ import annotations

import shutil
import threading

import pytest
from fake_runs import write_audit_run, write_run

from memtk.reviewing.server import ReadingServer


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


@pytest.fixture
def serve():
    """`serve(page)` gives the address of a server in a thread, which ends with the test."""
    threads = []

    def start(page):
        server, ready = ReadingServer(page), threading.Event()
        thread = threading.Thread(target=server.run, args=(lambda address: ready.set(),))
        thread.daemon = True
        thread.start()
        assert ready.wait(20)
        threads.append(server)
        return server.address

    yield start
    for server in threads:
        server.stop()
