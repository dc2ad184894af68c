"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from memtk.errors import UserError

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder with --out",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
    errno.EACCES: "no permission to write there: choose another folder with --out",
    errno.EPERM: "no permission to write there: choose another folder with --out",
    errno.EEXIST: "there is a file of that name: choose another folder with --out",
    errno.ENOTDIR: "a part of the path is a file: choose another folder with --out",
}


SPARE = 100_000
"""Bytes that are left free for a file's own structure."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What can only come of writing, whatever was going on."""


@contextmanager
def explain(path: Path, only: Collection[int] = tuple(_REASONS)) -> Iterator[None]:
    """Turn what the operating system says about writing `path` into a `UserError`.

    Libraries often wrap the system's error (h5py, torch.save), so the text is searched as well.

    Args:
        only: the error numbers that are explained; around a block that reads too, `FULL`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = reason_of(error, only)
        if reason is None:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error


def reason_of(error: BaseException, only: Collection[int] = tuple(_REASONS)) -> str | None:
    """Return what a person can do about a failed write, or None if it is no such failure."""
    seen: BaseException | None = error
    while seen is not None:
        number = getattr(seen, "errno", None)
        if isinstance(number, int) and number in only:
            return _REASONS[number]
        for code in only:
            if os.strerror(code) in str(seen):
                return _REASONS[code]
        seen = seen.__cause__ or seen.__context__
    return None


def require_space(path: Path, size: int) -> None:
    """Refuse to begin a file that cannot fit. HDF5 may crash the process when it meets a full disk.

    Args:
        path: of the file, whose folder exists.
        size: its bytes, about.

    Raises:
        UserError: if the disk has less room, naming both.
    """
    free = shutil.disk_usage(path.parent).free
    if size + SPARE > free:
        final = path.with_name(re.sub(r"^\.(.*)\.[0-9a-f]{8}\.tmp$", r"\1", path.name))
        raise UserError(
            f"cannot write {final}: it needs {size / 1e6:.1f} MB and {free / 1e6:.1f} MB are free, "
            f"so {_REASONS[errno.ENOSPC]}"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; at the end, sync it and rename it to `path`.

    If the block fails, the temporary file is removed and `path` stays as it was.

    Raises:
        UserError: if it cannot be written (full disk, read-only folder), naming the path.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with explain(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
