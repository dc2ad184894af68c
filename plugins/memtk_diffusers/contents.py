"""A text that changes when a saved pipeline does."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from memtk.errors import UserError

SUFFIXES = {".json", ".safetensors"}
"""Of the files that a pipeline is loaded from."""


def contents_of(folder: Path) -> str:
    """Return 32 characters that stand for names and contents of a pipeline's files.

    Raises:
        UserError: if there is no such folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder. Give one that save_pretrained wrote.")
    digest = hashlib.sha256()
    try:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES and p.is_file()):
            status = path.stat()
            found = _hash(path, status.st_size, status.st_mtime_ns)
            digest.update(f"{path.relative_to(folder).as_posix()} {found}\n".encode())
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    return digest.hexdigest()[:32]


@cache
def _hash(path: Path, size: int, time: int) -> str:
    """Hash a file; one of the same size and time is not read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
