"""Opens the HDF5 files of strangers: another process looks them through first.

Of damaged files a few end the process that opens them, or never come back from the HDF5 library,
where no exception can be caught.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from memtk.errors import UserError
from memtk.interpreter import python

if TYPE_CHECKING:
    import h5py

LOOK = """
import faulthandler, json, math, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = json.loads(sys.argv[1])
import h5py

def look(path):
    with h5py.File(path, "r", locking=False) as file:
        groups, left, volume = [file], 1000, 1 << 26
        for group in groups:
            for name in group:
                left -= 1
                if left < 0:
                    return
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    continue
                try:
                    found = group[name]
                    for key in found.attrs:
                        left -= 1
                        if left < 0:
                            return
                        found.attrs[key]
                    if isinstance(found, h5py.Group):
                        groups.append(found)
                    elif not (found.is_virtual or found.external):
                        row = (1, *found.shape[1:])
                        chunk = found.chunks or row
                        chunks = math.prod(-(-n // k) for n, k in zip(row, chunk))
                        size = max(4096, found.dtype.itemsize * math.prod(chunk))
                        for place, read in ((-1, chunks), ((-1,) * found.ndim, 1)):
                            if size * read <= volume:
                                volume -= size * read
                                found[place]
                                break
                except Exception:
                    pass

print("ready", flush=True)
for line in sys.stdin.buffer:
    faulthandler.dump_traceback_later(60, exit=True)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, 2)
    try:
        look(os.fsdecode(bytes.fromhex(line.decode())))
    except Exception:
        pass
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()
    print("seen", flush=True)
"""
"""Looks at every file that is named to it; what is wrong with one, its caller sees by itself. It
ends by itself after 2 s of the processor, or a minute, with one file."""

LINKS = 16
"""So many soft links are followed one after the other, as the library does, of 1,000 letters."""

_lock = threading.Lock()
_seen_before: set[tuple[Path, int, int]] = set()
_looking: dict[int, subprocess.Popen[bytes]] = {}  # by the process that has started it


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # a thread that held it is not in the child, and gives it never
    os.register_at_fork(after_in_child=_renew_lock)


def open_hdf5(path: Path) -> h5py.File:
    """Open a file that is not written to meanwhile, once it was looked through.

    Raises:
        UserError: as `look_through`.
        OSError: if it is no HDF5 file.
    """
    import h5py

    look_through(path)
    with contextlib.suppress(ImportError):  # brings decoders, where it is installed
        import hdf5plugin  # noqa: F401
    return h5py.File(path, "r", locking=False)


def own_place(file: h5py.File, name: str) -> str:
    """Return where in this very file a name leads, soft links followed; "" if it leads nowhere, in
    a circle, or into another file.
    """
    import h5py

    ahead, at, here, links = name.split("/"), "", file["/"], 0
    while ahead:
        if (step := ahead.pop(0)) in ("", "."):
            continue
        link = here.get(step, getlink=True) if isinstance(here, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links < LINKS and len(link.path) < LINKS * 64:
            links += 1
            at, here = ("", file["/"]) if link.path.startswith("/") else (at, here)
            ahead = link.path.split("/") + ahead
        elif isinstance(link, h5py.HardLink):
            at, here = f"{at}/{step}", here[step]
        else:
            return ""
    return at


def look_through(path: Path) -> None:
    """See that the HDF5 library comes back from a file: its first 1,000 objects and attributes
    are opened, and the last row or the last number of each is read, while that takes 64 MiB.

    Raises:
        UserError: if it does not, naming the file.
    """
    stat = path.stat()
    this = (path.absolute(), stat.st_size, stat.st_mtime_ns)
    with _lock:
        for _ in range(2):  # whatever else may have ended the other process, happens once
            process = None if this in _seen_before else _started()
            if process is None or _seen(process, path):
                _seen_before.add(this)
                return
    raise UserError(
        f"cannot read {path}: it is damaged so that the HDF5 library crashes or never comes to an "
        "end. Copy it anew from where it was made, or make it once more"
    )


def _started() -> subprocess.Popen[bytes] | None:
    """Return the process that looks; None where none can be started, or has no HDF5 library."""
    process = _looking.get(os.getpid())
    if process is None or process.poll() is not None:
        if (program := python()) is None:
            return None
        words = (program, "-I", "-S", "-c", LOOK, json.dumps(sys.path, default=str))
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, ValueError):  # no program, no memory, a path with a null byte
            return None
        _looking[os.getpid()] = process
        if process.stdout is None or process.stdout.readline().strip() != b"ready":
            end(process)
            return None
    return process


def _seen(process: subprocess.Popen[bytes], path: Path) -> bool:
    assert process.stdin and process.stdout  # both are pipes
    answer = b""
    try:
        process.stdin.write(os.fsencode(path.absolute()).hex().encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
    except OSError:
        pass
    finally:  # an answer that Ctrl-C did not wait for must not be taken for that of the next file
        if answer != b"seen":
            end(process)
    return answer == b"seen"


@atexit.register
def end(process: subprocess.Popen[bytes] | None = None) -> None:
    """End the process that looks, if there is one of this process."""
    process = process or _looking.get(os.getpid())
    if process is not None:
        _looking.pop(os.getpid(), None)
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        process.wait()
