"""The file that a reader is checked on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memtk.testing.case import Case
from memtk.testing.verdict import applies


@contextmanager
def example_of(case: Case) -> Iterator[Path]:
    """Give the path of the example; one that is written for it is deleted afterwards."""
    applies(case.example is not None, case.lacking)
    if not callable(case.example):
        yield Path(case.example or "")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield case.example(Path(folder))
