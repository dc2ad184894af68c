"""Files written whole or not at all, their hashes, and files of strangers."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.surroundings import largest_file, restore

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder with --out",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
    errno.EACCES: "no permission to write there: choose another folder with --out",
    errno.EPERM: "no permission to write there: choose another folder with --out",
    errno.EEXIST: "there is a file of that name: choose another folder with --out",
    errno.ENOTDIR: "a part of the path is a file: choose another folder with --out",
    errno.ENAMETOOLONG: "the name is too long: choose another folder with --out",
    errno.ELOOP: "its links lead round in circles: choose another folder with --out",
    errno.EFBIG: "a file may not be so large here (ulimit -f): raise that limit",
}


LARGEST = 32_000_000
"""Bytes of a record of a stranger, about ten times the largest that memtk writes."""

SPARE = 200_000
"""Bytes that are left free for a file's own structure, beside a tenth of what is in it."""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Names of the files that `replacing` writes first; a process that is killed may leave one."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
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
        size: about, in bytes, of the file, whose folder exists.

    Raises:
        UserError: if the disk has less room, or a file may have less, naming both.
    """
    room, why = shutil.disk_usage(path.parent).free, errno.ENOSPC
    if (limit := largest_file()) < room:
        room, why = limit, errno.EFBIG
    needed = size + size // 10 + SPARE
    if needed > room:
        from rich.filesize import decimal

        final = path.with_name(re.sub(r"^\.(.*)\.[0-9a-f]{8}\.tmp$", r"\1", path.name))
        raise UserError(
            f"cannot write {final}: it needs {decimal(needed)} and {decimal(room)} are free, so "
            + _REASONS[why]
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; at the end, sync it and rename it to `path`.

    If the block fails, the temporary file is removed and `path` stays as it was. What processes
    that were killed have left of the same file is removed first.

    Raises:
        UserError: if it cannot be written (full disk, read-only folder, a device or a folder in its
            place), naming the path.
    """
    path = Path(path)
    temporary = beside(path)
    restore()
    with explain(path):
        if path.exists() and not path.is_file():
            raise UserError(f"cannot write {path}: it is no plain file, but a folder or a device")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in left_by_killed(path):
                left.unlink(missing_ok=True)
            try:
                temporary.touch()
                temporary.unlink()
            except FileNotFoundError as error:  # a folder of the system, or one that is gone
                raise UserError(f"cannot write {path}: no file can be made there") from error
            yield temporary
            restore()
            with open(temporary, "rb+") as handle:  # Windows syncs only what is open for writing
                os.fsync(handle.fileno())
            os.replace(temporary, path)
            if os.name == "posix":  # elsewhere a folder cannot be opened
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        finally:
            restore()
            temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """Return a new name for what will take the place of `path`, which says whose it is."""
    mine = f"{os.getpid() % 2**24:06x}{uuid.uuid4().hex[:2]}"
    return path.with_name(f".{path.name}.{mine}.tmp")


def left_by_killed(path: Path) -> Iterator[Path]:
    """Yield what is `beside` a path of processes that are gone, or had the number of this one.

    What another machine is writing here at the same moment counts too: locks are against that.
    """
    size = len(".00000000.tmp")
    with os.scandir(path.parent) as entries:
        left = [e.name for e in entries if e.name[:-size] == f".{path.name}"]
    for name in filter(TEMPORARY.fullmatch, left):
        import psutil

        process = int(name[1 - size : 7 - size], 16)
        if process == os.getpid() or not psutil.pid_exists(process):
            yield path.with_name(name)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write `text` to `path` as UTF-8 with "\\n" at line ends, whole or not at all.

    Args:
        private: nobody but its owner may read it, at no moment.
    """
    with replacing(path) as temporary:
        if private:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        temporary.write_text(text, encoding="utf-8", newline="\n")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def is_record(text: str) -> bool:
    """Tell whether a text is JSON that `--json` writes, and not a record that a run lives on.

    Raises:
        ValueError: if it is no JSON.
    """
    tree = json.loads(text)
    kinds = {"accepted", "verdict", "sizes", "readers"}  # of a check, an audit, a review
    return isinstance(tree, dict) and (
        {"plants", "sensitivity"} <= tree.keys()
        or ("memtk_version" in tree and not kinds.isdisjoint(tree))
    )


def check_output(path: Path, ours: Callable[[str], bool]) -> None:
    """See that a file that a person named for an output holds nothing of somebody else's.

    Args:
        ours: tells whether a text is one that memtk writes there.

    Raises:
        UserError: if it does, or is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file")
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        known = ours(read_plain(path).decode("utf-8"))
    except (OSError, UserError, ValueError, RecursionError):
        known = False
    if not known:
        raise UserError(f"{path} is there, and memtk did not write it: name another file")


def write_output(path: Path, text: str, ours: Callable[[str], bool]) -> None:
    """Write what a person asked for to the file that they named, whole or not at all.

    What is no plain file, such as /dev/stdout or a pipe, is written to as it is.

    Raises:
        UserError: if a file is there that memtk did not write, or it cannot be written.
    """
    check_output(path, ours)
    if path.exists() and not path.is_file():
        with explain(path), open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    else:
        write_text(path, text)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 characters. One of the same size and time is read once.

    Raises:
        UserError: if it is missing or cannot be read, naming it.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise UserError(f"cannot read {path}: it is no plain file (a pipe or a device)")
        return _digest_once(path, status.st_size, status.st_mtime_ns)
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


def hash_files(paths: Sequence[Path], index: Path, watch: Watch = ignore) -> dict[Path, str]:
    """Return the SHA-256 of each file or folder by its path, "" for what cannot be read.

    A folder's hash is over the hashes of the files right in it, by name. What was hashed is
    remembered in `index`, with size and times of each file, and used again while those stand.

    Args:
        index: a JSON file; a damaged one is made anew.
        watch: told about the progress, if anything has to be hashed.
    """
    known, seen = _load(index), {}
    found: dict[Path, str] = {}
    spoke = False
    for number, path in enumerate(paths):
        parts = []
        try:
            for file in _files(path):
                key, stamp = os.path.realpath(file), _stamp(file)
                entry = known.get(key)
                if not (isinstance(entry, list) and entry[:-1] == stamp):
                    if not spoke:
                        watch(Event("start", "hashing files", number, len(paths)))
                        spoke = True
                    entry = [*stamp, _digest(file)]
                seen[key] = entry
                parts.append(str(entry[-1]))
        except OSError:  # said, with all others, when the voxels are read
            found[path] = ""
            continue
        text = "\n".join(parts)
        found[path] = parts[0] if path.is_file() else hashlib.sha256(text.encode()).hexdigest()
        if spoke and number % max(1, len(paths) // 100) == 0:
            watch(Event("step", "hashing files", number + 1, len(paths)))
    if spoke:
        watch(Event("end", "hashing files", len(paths), len(paths)))
        write_text(index, json.dumps(seen))
    return found


def hashed(path: Path) -> dict[str, list[int | str]]:
    """Return what `hash_files` remembers of a file, or of those right in a folder, for `remember`.

    Empty where one cannot be read.
    """
    try:
        return {os.path.realpath(f): [*_stamp(f), _digest(f)] for f in _files(path)}
    except OSError:
        return {}


def remember(index: Path, entries: Mapping[str, Sequence[int | str]]) -> None:
    """Add what `hashed` gave to the `index` of `hash_files`."""
    if entries:
        write_text(index, json.dumps({**_load(index), **entries}))


def are_unchanged(paths: Sequence[Path], index: Path) -> list[bool]:
    """Tell of each file, or of all files right in a folder, whether it is as the `index` remembers.

    Those of another size or time are hashed anew.
    """
    known = _load(index)

    def same(file: Path) -> bool:
        entry = known.get(os.path.realpath(file))
        return isinstance(entry, list) and (
            entry[:-1] == _stamp(file) or entry[-1] == _digest(file)
        )

    found = []
    for path in paths:
        try:
            found.append(all(map(same, _files(path))))
        except OSError:
            found.append(False)
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():  # to open a pipe or a device may take for ever
            raise FileNotFoundError(path)
        return [path]
    return [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _digest_once(path: Path, size: int, time: int) -> str:
    return _digest(path)


def _load(index: Path) -> dict[str, list[int | str]]:
    try:
        if not index.is_file() or index.stat().st_size > 10**9:  # of some million files
            return {}
        known = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def read_plain(path: Path) -> bytes:
    """Return what a plain file of a sane size holds.

    Raises:
        UserError: if it is a pipe, a device or larger than `LARGEST`, or cannot be read. A file
            that is not there raises `FileNotFoundError`.
    """
    restore()
    try:
        status = path.stat()
        if not path.is_file():
            raise UserError(f"cannot read {path}: it is no plain file")
        if status.st_size > LARGEST:
            raise UserError(f"cannot read {path}: it has more than {LARGEST / 1e6:.0f} MB")
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot read {path}: {reason}") from error
