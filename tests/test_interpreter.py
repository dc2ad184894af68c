"""Where the program that runs is no Python, memtk does without its own processes, or says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from memtk.data.pattern import patients_in
from memtk.errors import UserError
from memtk.hdf5 import end, open_hdf5
from memtk.interpreter import python
from memtk.prefetch import prefetch_in_processes

OTHERS = {
    "nothing": None,
    "an empty text": "",
    "a path of nothing": "/nowhere/python3",
    "a program that waits": "cat",
    "a program that ends at once": "true",
    "a program that waits, called like one": "waits/python3",
    "a program that says something else": "says/pyapp",
    "a file that is no program": "file/python3",
}


@pytest.fixture(params=OTHERS)
def embedded(request, tmp_path, monkeypatch):
    """Let `sys.executable` be a program that is no Python."""
    said = OTHERS[request.param]
    if said and "/" in said and not said.startswith("/"):
        path = tmp_path / said
        path.parent.mkdir()
        path.write_text({"waits": "#!/bin/sh\nsleep 60\n", "says": "#!/bin/sh\necho hello\n"}.get(
            path.parent.name, "no program"))  # fmt: skip
        path.chmod(0o644 if path.parent.name == "file" else 0o755)
        said = str(path)
    monkeypatch.setattr("memtk.interpreter.SECONDS", 1.0)
    monkeypatch.setattr(sys, "executable", said)
    end()  # the process that looks through HDF5 files was started by Python
    return said


pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs of POSIX")


def test_this_python_is_one():
    assert python() == sys.executable


def test_a_program_that_is_no_python_is_not_taken_for_one(embedded):
    start = time.monotonic()
    assert python() is None and python() is None
    assert time.monotonic() - start < 5


def test_a_frozen_program_is_not_started_again(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert python() is None


def test_what_needs_a_process_is_refused_at_once(embedded):
    start = time.monotonic()
    with pytest.raises(UserError, match=r"data.patient_pattern takes a process.* is no Python"):
        patients_in(r"(\d+)", [Path("1.png")], Path())
    assert time.monotonic() - start < 5


def test_files_of_hdf5_are_read_without_the_process_that_looks(embedded, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(3)
    start = time.monotonic()
    with open_hdf5(tmp_path / "a.h5") as file:
        assert file["x"][2] == 2
    assert time.monotonic() - start < 5


def slow(key):
    time.sleep(0.05)
    return 2 * key


def test_this_process_reads_alone(embedded, monkeypatch):
    monkeypatch.setattr("memtk.prefetch.PAYS", 0.1)

    def started(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr("memtk.prefetch.ProcessPoolExecutor", started)
    found = list(prefetch_in_processes(slow, range(20), 4, "failed"))
    assert found == [2 * key for key in range(20)]


def test_a_study_over_several_processes_is_refused(embedded, tmp_path):
    from memtk.study.launchers import Processes

    with pytest.raises(UserError, match="a study takes a process of its own"):
        Processes(tmp_path, 2)


def test_a_check_in_an_embedded_python_ends_with_the_right_number(tmp_path):
    for i in range(12):
        np.save(tmp_path / f"{i}.npy", np.random.default_rng(i).normal(size=(9, 8)))
    program = (
        "import sys; sys.executable = 'cat'; from memtk.cli import cli; "
        f"cli(['check', '--data', {str(tmp_path)!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, text=True
    )
    assert done.returncode == 0, done.stderr
