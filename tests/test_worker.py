from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import psutil
import pytest


def is_running(process):
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # ended, and nobody has asked how


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends it at once")
def test_no_process_of_a_study_outlives_its_parent_however_young_it_is(tmp_path):
    code = (
        "import pathlib, time\n"
        "from types import SimpleNamespace\n"
        "from memtk.study.launchers import Processes\n"
        f"processes = Processes(pathlib.Path({str(tmp_path)!r}), 4)\n"
        "for number, wait in enumerate((0.2, 0.1, 0.02, 0)):\n"
        "    task = SimpleNamespace(part=f'x{number}', kind='cell', name='x')\n"
        "    print(processes.start(task).process.pid, flush=True)\n"
        "    time.sleep(wait)\n"
        "print(flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        children = [int(line) for line in iter(parent.stdout.readline, b"\n")]
        assert len(children) == 4
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        until = time.monotonic() + 10
        while any(map(is_running, children)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not any(map(is_running, children))


def marked(mark):
    """All processes that were started, by whomever, with this mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != "zombie" and process.environ().get("MARK") == mark:
                found.append(process)
    return found


def killed(code, mark, begun):
    """Run a program, kill it when `begun()` is true, and give what of it is there 20 s later."""
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"MARK": mark}) as parent:
        try:
            until = time.monotonic() + 120
            while not begun() and time.monotonic() < until:
                assert parent.poll() is None
                time.sleep(0.05)
            assert begun()
        finally:
            parent.kill()
    until = time.monotonic() + 20
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    return left


SLEEPER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(500)"


def test_no_command_outlives_a_killed_memtk(tmp_path):
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}, 'begun'])"
    code = (
        f"import os, pathlib, sys; os.chdir({str(tmp_path)!r})\n"
        "from memtk_files.command import _run\n"
        f"_run([sys.executable, '-c', {inner!r}], pathlib.Path('log'), None)"
    )
    assert not killed(code, f"{tmp_path}", (tmp_path / "begun").exists)


@pytest.mark.parametrize("how", ["--jobs 2", "--executor local"])
def test_no_process_of_a_killed_study_is_left(tmp_path, how):
    if how == "--executor local":
        pytest.importorskip("submitit")
    run = shlex.join([sys.executable, "-c", SLEEPER, "begun", "{folder}", "{seed}"])
    words = [
        *("study", "grid", "--vary", "seed=0,1", "-g", "command", "--similarity", "ncc"),
        *("--data", "phantom2d", "--device", "cpu", "--out", "out", *how.split()),
        *("--set", f"command.run={run}", "--set", "command.folder=made"),
        *("--set", "data.phantom.size=8", "--set", "data.phantom.training=8"),
        *("--set", "data.phantom.validation=8", "--set", "bench.plants=0"),
    ]
    code = f"import os; os.chdir({str(tmp_path)!r})\nfrom memtk.cli import cli\ncli({words!r})"
    assert not killed(code, f"{tmp_path}", (tmp_path / "begun").exists)
