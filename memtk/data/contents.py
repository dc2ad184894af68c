"""Hashes of the contents of files. A file that has not been touched is hashed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from memtk.atomic import write_text
from memtk.events import Event, Watch, ignore

_BLOCK = 1 << 20


def hash_files(paths: Sequence[Path], index: Path, watch: Watch = ignore) -> dict[Path, str]:
    """Return the SHA-256 of each file or folder by its path, "" for what cannot be read.

    A folder's hash is over the hashes of the files right in it, by name. What was hashed is
    remembered in `index`, with size and times of each file, and used again while those stand.

    Args:
        paths: files and folders.
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
                key, stamp = str(file.resolve()), _stamp(file)
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


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _load(index: Path) -> dict[str, list[int | str]]:
    try:
        known = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
