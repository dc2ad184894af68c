from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import time

import pytest


def is_running(process):
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # ended, and nobody has asked how


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends it at once")
def test_no_process_of_a_study_outlives_its_parent(tmp_path):
    for wait in (0.0, 0.02, 0.1, 0.3):
        code = (
            "import pathlib, time\n"
            "from types import SimpleNamespace\n"
            "from memtk.study.launchers import Processes\n"
            f"processes = Processes(pathlib.Path({str(tmp_path)!r}), 1)\n"
            "task = SimpleNamespace(part='x', kind='cell', name='x')\n"
            "print(processes.start(task).process.pid, flush=True)\n"
            "time.sleep(100)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
            child = int(parent.stdout.readline())
            time.sleep(wait)
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            until = time.monotonic() + 10
            while is_running(child) and time.monotonic() < until:
                time.sleep(0.02)
            assert not is_running(child)
