"""How long each stage took, kept over restarts."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memtk.errors import UserError
from memtk.files import write_text


class Clock:
    """Adds up the seconds of each stage in a JSON file.

    Args:
        path: the file; None keeps nothing (other processes than the first).
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path and path.exists():
            with contextlib.suppress(ValueError):  # times are not worth a run
                self._seconds = json.loads(path.read_text(encoding="utf-8"))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a block as (a part of) a stage; what a failed block took is not lost."""
        start = time.perf_counter()
        try:
            yield
        except BaseException:
            with contextlib.suppress(UserError):  # a full disk has been told of already
                self._add(stage, time.perf_counter() - start)
            raise
        self._add(stage, time.perf_counter() - start)

    def _add(self, stage: str, spent: float) -> None:
        self._seconds[stage] = round(self._seconds.get(stage, 0.0) + spent, 3)
        if self._path:
            write_text(self._path, json.dumps(self._seconds, indent=1))

    def of(self, *prefixes: str) -> dict[str, float]:
        """Return the stages whose names begin with one of the prefixes."""
        return {s: v for s, v in self._seconds.items() if s.startswith(prefixes)}
