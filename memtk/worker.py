"""`python -m memtk.worker FOLDER KIND NAME PARENT`: one task, in a process of a study's own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""Of `prctl`: the signal that the kernel sends when the parent is gone."""


def _end_with_the_parent() -> None:
    """Wait for the end of the standard input: then nobody is there any more who would look."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):  # not through sys.stdin, whose lock the end of Python waits for
            pass
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    os.kill(os.getpid(), signal.SIGTERM)


def _killed_with_the_parent(parent: int) -> None:
    """Ask Linux to end this process with its parent, at once, whatever this process is doing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has gone before it could be asked
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # and before anything is imported that takes seconds
    _killed_with_the_parent(int(sys.argv[4]))
    threading.Thread(target=_end_with_the_parent, daemon=True).start()

    from memtk.errors import stop
    from memtk.study.tasks import attempt

    signal.signal(signal.SIGINT, stop)
    attempt(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
