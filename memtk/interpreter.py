"""The Python that memtk starts its own processes with, where the program that runs has one."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache

from memtk.errors import UserError

SECONDS = 10.0
"""So long it may take to begin."""


def python() -> str | None:
    """Return the Python of this program; None in another that only embeds it.

    `sys.executable` is then that program, which would open a window, or wait for ever.
    """
    program = sys.executable or ""
    return program if not getattr(sys, "frozen", False) and _is_python(program) else None


def required_python(what: str) -> str:
    """Return the same.

    Raises:
        UserError: if there is none, saying `what` takes one.
    """
    found = python()
    if found is None:
        raise UserError(
            f"{what} takes a process of its own, and sys.executable, {sys.executable!r}, is no "
            "Python: run memtk in one, or set sys.executable to its path"
        )
    return found


@cache
def _is_python(program: str) -> bool:
    name = re.split(r"[/\\]", program)[-1].lower()
    if "py" not in name:  # python3.12, pypy, mayapy, PythonSlicer; others are not even tried
        return False
    try:
        done = subprocess.run(
            (program, "-I", "-S", "-c", "print('memtk')"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == b"memtk"
