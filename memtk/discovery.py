"""Finds the entry points of installed packages, as fast as a command's `--help` needs it.

`importlib.metadata` takes longer to import and to look than all the rest of `memtk list`: it reads
every file as an e-mail. This reads the same files in the folders of `sys.path`; where packages lie
in anything else, in a zip file say, it is `importlib.metadata` that looks.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

SUFFIXES = (".dist-info", ".egg-info")
"""Of the folders that say what is installed."""


class Distribution(NamedTuple):
    """An installed package."""

    name: str
    version: str


class Point(NamedTuple):
    """An entry point, with the part of `importlib.metadata.EntryPoint` that memtk uses.

    Args:
        name: of the plugin.
        value: the module that it names, or "module:attribute".
        dist: the package that it belongs to.
    """

    name: str
    value: str
    dist: Distribution | None = None

    def load(self) -> Any:
        """Import and return what it names.

        Raises:
            ValueError: if it is malformed.
        """
        match = re.fullmatch(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(\[[^\]]*\]\s*)?", self.value)
        if match is None:
            raise ValueError(f"Invalid object reference {self.value!r}")
        module = importlib.import_module(match[1])
        return reduce(getattr, (match[2] or "").split(".") if match[2] else [], module)


def find_points(group: str, path: Sequence[str] | None = None) -> list[Point]:
    """Return the entry points of a group; of a package found twice on the path the first counts.

    Args:
        group: the name of the section in `entry_points.txt`.
        path: folders to look in, `sys.path` by default.
    """
    path = sys.path if path is None else path
    if any(os.path.isfile(folder) for folder in path):
        return _thorough(group)
    found: list[Point] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(folder or "." for folder in path):
        for info in _folders(folder):
            guess = _guess(info)
            key = re.sub(r"[-_.]+", "-", guess.name).lower()
            if key in seen:
                continue
            seen.add(key)
            pairs = list(_section(_read(os.path.join(info, "entry_points.txt")), group))
            dist = _described(info, guess) if pairs else guess  # few packages are read
            found += [Point(name, value, dist) for name, value in pairs]
    return found


def _thorough(group: str) -> list[Point]:
    from importlib.metadata import entry_points

    return [
        Point(p.name, p.value, Distribution(p.dist.name, p.dist.version) if p.dist else None)
        for p in entry_points(group=group)
    ]


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.path for e in entries if e.name.endswith(SUFFIXES) and e.is_dir())
    except OSError:
        return []


def _guess(info: str) -> Distribution:
    """Return name and version as the name of the folder says them."""
    stem = os.path.basename(info).rsplit(".", 1)[0]
    name, _, version = stem.partition("-")
    return Distribution(name, version.partition("-py")[0])


def _described(info: str, guess: Distribution) -> Distribution:
    """Return name and version as the metadata spells them: "memtk-example", not "memtk_example"."""
    text = _read(os.path.join(info, "METADATA")) or _read(os.path.join(info, "PKG-INFO"))
    head = dict(line.split(": ", 1) for line in text.split("\n\n")[0].splitlines() if ": " in line)
    return Distribution(head.get("Name", guess.name), head.get("Version", guess.version))


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
