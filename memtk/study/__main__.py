"""`python -m memtk.study FOLDER KIND NAME`: one task, in a process that its parent started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path


def _end_with_the_parent() -> None:
    """Wait for the end of the standard input: then nobody is there any more who would look."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):  # not through sys.stdin, whose lock the end of Python waits for
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_parent, daemon=True).start()

    from memtk.study.execute import attempt

    attempt(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
