"""Standard output and error while code of others runs: what it prints, and what it closes."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TextIO

from memtk.errors import stop
from memtk.surroundings import kept


class _Aside(io.TextIOBase):
    """Gives on what is printed, and is never closed."""

    def __init__(self, to: TextIO) -> None:
        self._to = to

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._to.encoding

    def write(self, text: str) -> int:
        with suppress(ValueError, OSError):  # closed, or full
            self._to.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(ValueError, OSError):
            self._to.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return 2

    def close(self) -> None:
        pass


_aside = lru_cache(maxsize=8)(_Aside)
"""The same one for the same output, which is kept: another thread may be printing to it."""


@contextmanager
def shielded() -> Iterator[None]:
    """Print to stderr what the block prints; the outputs lead afterwards where they led before, and
    the program works in the same folder, with the same umask.

    Raises:
        Stopped: if the program is stopped meanwhile (Ctrl-C).
    """
    before = sys.stdout, sys.stderr
    heard = None
    with suppress(ValueError):  # no other thread is told
        heard = signal.signal(signal.SIGINT, stop)
    copies = {}
    for number in (1, 2):
        with suppress(OSError):
            copies[number] = os.dup(number)
    sys.stdout = sys.stderr = _aside(before[1])
    try:
        with kept():
            yield
    finally:
        if heard is not None:
            signal.signal(signal.SIGINT, heard)
        for number, copy in copies.items():
            with suppress(OSError):
                os.dup2(copy, number)  # closed, or led elsewhere
                os.close(copy)
        sys.stdout, sys.stderr = (_opened(file, n) for n, file in enumerate(before, 1))


def _opened(file: TextIO, number: int) -> TextIO:
    """Return an output, made anew if it was closed."""
    if file is None or not file.closed:
        return file
    return open(number, "w", encoding="utf-8", errors="replace", closefd=False)


@contextmanager
def alone_on_stdout() -> Iterator[TextIO]:
    """Give the standard output to the block alone: what anybody else prints goes to stderr.

    Also what a library prints past Python, where the output is a file of the system; then for good,
    because threads and what is called at the end of the program print after the block.
    """
    out = mine = sys.stdout
    with suppress(OSError, ValueError, AttributeError):
        out.flush()
        mine = os.fdopen(os.dup(out.fileno()), "w", encoding="utf-8", errors="replace")
        os.dup2(2, 1)
    sys.stdout = _aside(sys.stderr)
    try:
        yield mine
    finally:
        if mine is out:
            sys.stdout = out
        else:
            with suppress(OSError):
                mine.close()
