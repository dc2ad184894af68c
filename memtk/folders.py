"""The folders that memtk writes in: which are its own, and who works in them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from memtk.errors import UserError
from memtk.files import TEMPORARY, beside, explain, left_by_killed, read_plain, write_text
from memtk.surroundings import kept

MARKER = ".memtk"
"""File that memtk writes first into a folder of its own: only there it deletes and replaces."""

LOCK = ".lock"

Kind = Literal["run", "study", "release", "leaderboard"]

_CALLED = {
    "run": "run folder",
    "study": "study",
    "release": "release",
    "leaderboard": "leaderboard",
}

_WRITTEN = re.compile(
    r".*\.(h5|json|pt)|key|\.lock|\.memtk|(copies|exposed|release|study|leaderboard)\.csv"
    r"|(report|index)\.html|LEADERBOARD\.md|done"
)
"""Names of the files that memtk writes into its folders."""

_PREPARED = re.compile(r"[0-9a-f]{32}\.h5|contents\.json|images|\.lock")
"""Likewise into `data`, where people would keep images of their own."""

_WHOLE = ("jobs", "logs")
"""Folders in which whatever runs a job writes files of its own names."""


@contextmanager
def working_in(folder: Path, kind: Kind = "run") -> Iterator[None]:
    """Make `folder`, or find that it is memtk's, and hold its lock until the process ends.

    Raises:
        UserError: if something is in it that memtk did not write, if another process holds it, or
            if it cannot be written.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    claim(folder, kind)
    lock = FileLock(folder / LOCK, timeout=0)
    with explain(folder):
        try:
            held = lock.acquire()
        except Timeout as error:
            raise UserError(f"another memtk is working in {folder}: wait, or use --out") from error
    with held, kept():
        yield


def claim(folder: Path, kind: Kind = "run") -> None:
    """Mark `folder`, which is new or empty, as one of memtk's; or find that it is one.

    Folders of older versions, which have no `MARKER`, are known by the records in them.

    Raises:
        UserError: if something is in it that memtk did not write, if it is of another kind, or if
            it cannot be written.
    """
    folder = Path(folder)
    with explain(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # a folder of the system, or one that is gone
            where = f"no folder can be made in {folder.absolute().parent}"
            raise UserError(f"cannot write {folder}: {where}: choose another with --out") from error
        found = kind_of(folder)
        if found is not None and found != kind:
            raise UserError(
                f"{folder} is a {_CALLED[found]} of memtk, no {_CALLED[kind]}: choose another "
                "folder with --out"
            )
        if found is None and (stranger := _stranger(folder)):
            raise UserError(
                f"{folder} is no {_CALLED[kind]} ({stranger} is in it), and what memtk did not "
                "write it leaves alone: choose another folder with --out"
            )
        if not (folder / MARKER).is_file():
            write_text(folder / MARKER, f"memtk {kind}\n")


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder`, which is new or empty, to fill; then it takes its place.

    What a killed call left beside it is removed.

    Raises:
        UserError: if something is in `folder`, or it cannot be written.
    """
    folder = folder.absolute()

    def check() -> None:
        if folder.is_dir() and (there := next(folder.iterdir(), None)):
            raise UserError(f"{folder} is not empty ({there.name} is in it): name a new folder")

    with explain(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        check()
        for stale in left_by_killed(folder):
            shutil.rmtree(stale, ignore_errors=True)
        made = beside(folder)
        try:
            made.mkdir()
            yield made
            check()  # another process may have made it meanwhile
            if folder.is_dir() and not folder.is_symlink() and folder != Path.cwd():
                folder.rmdir()
            if folder.exists():  # this folder itself, or behind a link
                for path in sorted(made.iterdir()):
                    os.replace(path, folder / path.name)
            else:
                os.rename(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def kind_of(folder: Path) -> str | None:
    """Return which kind of memtk's folders this is; None if it is none."""
    marker = folder / MARKER
    if marker.is_file():
        with suppress(OSError, ValueError):
            with marker.open(encoding="utf-8") as file:
                name, _, kind = file.read(100).strip().partition(" ")
            return kind if name == "memtk" and kind in _CALLED else None
        return None
    if _is_record(folder / "study.json"):
        return "study"
    if _is_record(folder / "run.json"):
        return "run"
    if _is_record(folder / "audit" / "run.json") and (folder / "release.csv").is_file():
        return "release"
    board = folder / "leaderboard.csv"
    if board.is_file():  # to open a pipe may take for ever
        with suppress(OSError), board.open("rb") as file:
            if file.read(28) == b"table,benchmark,images,dims,":
                return "leaderboard"
    return None


def _is_record(path: Path) -> bool:
    """Tell whether a file is a record of memtk's."""
    if not path.is_file():
        return False
    try:
        tree = json.loads(read_plain(path))
    except (OSError, UserError, ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and {"schema_version", "memtk_version"} <= tree.keys()


def _stranger(folder: Path) -> str:
    """Return the name of something in an unmarked folder that a killed `claim` did not leave."""
    for path in sorted(folder.iterdir()):
        lock = path.name == LOCK and path.is_file() and not path.stat().st_size
        if not lock and not (TEMPORARY.fullmatch(path.name) and path.name.startswith(f".{MARKER}")):
            return path.name
    return ""


def sweep(folder: Path, *, deep: bool = True) -> None:
    """Remove temporary files that a killed process left in a folder of memtk's, or `deep` in it."""
    for path in folder.rglob(".*.tmp") if deep else folder.glob(".*.tmp"):
        if TEMPORARY.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders of these names from a folder of memtk's, and nothing else.

    What memtk would not write stays, with the folders that it lies in. Of a link the link goes.
    """
    for name in names:
        path = folder / name
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            continue
        if name in _WHOLE:
            shutil.rmtree(path, ignore_errors=True)
            continue
        written = _PREPARED if name == "data" else _WRITTEN
        for root, folders, files in os.walk(path, topdown=False):
            for file in files:
                if written.fullmatch(file) or TEMPORARY.fullmatch(file):
                    os.unlink(os.path.join(root, file))
            for below in folders:
                with suppress(OSError):  # a link, or something is in it that is not memtk's
                    os.rmdir(os.path.join(root, below))
        with suppress(OSError):
            path.rmdir()
