"""The folder that the program works in and its umask, whatever code of others makes of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_kept: tuple[str, int] | None = None


@contextmanager
def kept() -> Iterator[None]:
    """Keep folder and umask for a block, in which `restore` goes back to them; may be nested."""
    global _kept
    if _kept is not None:
        try:
            yield
        finally:
            restore()
        return
    keep()
    try:
        yield
    finally:
        restore()
        _kept = None


def keep() -> None:
    """Keep folder and umask as they are now, in a process that does nothing else."""
    global _kept
    here = ""
    with suppress(OSError):  # it is gone
        here = os.getcwd()
    mask = os.umask(0o077)  # nothing but setting it says what it is
    os.umask(mask)
    _kept = here, mask


def restore() -> None:
    """Go back to the folder and the umask that are kept, if any are."""
    if _kept is None:
        return
    here, mask = _kept
    os.umask(mask)
    with suppress(OSError):
        if os.getcwd() == here:
            return
    with suppress(OSError):
        os.chdir(here)


def largest_file() -> int:
    """Return how many bytes a file may have (`ulimit -f`); where nothing says it, more than any."""
    try:
        import resource
    except ImportError:  # not on Windows
        return sys.maxsize
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
