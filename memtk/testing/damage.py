"""What every reader must do with a file that is missing or damaged."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from memtk.errors import UserError
from memtk.interfaces import Reader
from memtk.testing.case import Case
from memtk.testing.example import example_of

WAYS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "of other content": lambda content: b"\x00not an image\xff" * 40,
}


def check_damaged_files_are_refused_by_name(case: Case) -> None:
    """An empty, a truncated and a foreign file are each a `UserError` that names it."""
    with example_of(case) as path:
        for way, damage in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / path.name
                _check_refused(case.make(), _damaged(path, copy, damage), copy, way)


def check_missing_files_are_refused_by_name(case: Case) -> None:
    """A file that is not there is a `UserError` that names it."""
    with example_of(case) as path, tempfile.TemporaryDirectory() as folder:
        missing = Path(folder) / path.name
        _check_refused(case.make(), missing, missing, "missing")


def _damaged(path: Path, copy: Path, damage: Callable[[bytes], bytes]) -> Path:
    """Copy a file or the folder of a series; damage it, or the largest file in it."""
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copy(path, copy)
    files = [f for f in copy.rglob("*") if f.is_file()] if copy.is_dir() else [copy]
    target = max(files, key=lambda f: f.stat().st_size)
    target.write_bytes(damage(target.read_bytes()))
    return target


def _check_refused(reader: Reader, target: Path, path: Path, way: str) -> None:
    name = type(reader).__name__
    try:
        for record in reader.records(path):
            reader.read(record)
    except UserError as error:
        if target.name in str(error) or path.name in str(error):
            return
        raise AssertionError(
            f"{name}: the error for a file that is {way} does not name it: {error}"
        ) from error
    except Exception as error:
        raise AssertionError(
            f"{name} raises {type(error).__name__} for a file that is {way}, not a UserError"
        ) from error
    raise AssertionError(f"{name} reads a file that is {way}; it must raise a UserError")


DAMAGE = (check_damaged_files_are_refused_by_name, check_missing_files_are_refused_by_name)
