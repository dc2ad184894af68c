"""`python -m memtk_files.attended WORD...`: a command that ends when whoever started it is gone.

This process runs the command and waits for the end of its own standard input, which the system
closes with the process at its other end, however that one ended, on any system. Then it ends the
command and all that it started: a container, a client of a service, a script of many processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import psutil

GRACE = 10.0
"""Seconds that a command has to end by itself once it was told to."""

UNKNOWN = 127
"""Exit status of a command that cannot be run, as shells have it."""


def main(words: list[str]) -> int:
    """Run a command to its end; return its exit status, negative where a signal ended it."""
    try:
        process = psutil.Popen(words, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"cannot run {words[0]}: {error.strerror}\n")
        return UNKNOWN
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it went to the command too
    threading.Thread(target=_attend, args=(process,), daemon=True).start()
    return int(process.wait())


def _attend(process: psutil.Popen) -> None:
    """Wait for the end of the standard input, and end the command."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    end(process)


def end(process: psutil.Process) -> None:
    """End a process and all that it started: asked first, then killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        running = [*process.children(recursive=True), process]
        for word in ("terminate", "kill"):
            for each in running:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(each, word)()
            _, running = psutil.wait_procs(running, GRACE)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code < 0:
        with contextlib.suppress(OSError):  # of SIGKILL it is not to be said
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
