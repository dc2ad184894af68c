"""Hashes of files that were given from outside, by which a run knows them again."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache
from pathlib import Path

from memtk.errors import UserError


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 characters. One of the same size and time is read once.

    Raises:
        UserError: if it is missing or cannot be read, naming it.
    """
    try:
        status = path.stat()
        return _digest(path, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def folder_digest(folder: Path, suffixes: Collection[str]) -> str:
    """Return 32 characters that stand for names and contents of a folder's files, at any depth.

    Args:
        suffixes: of the files that count, with their dots.

    Raises:
        UserError: if a file cannot be read, naming it.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in suffixes and p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode())
    return digest.hexdigest()[:32]


@cache
def _digest(path: Path, size: int, time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
