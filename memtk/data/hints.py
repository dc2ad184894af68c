"""What may be said of images of which nothing says whose they are, by their names alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from memtk.data.file_names import tells_apart
from memtk.data.manifest import Row
from memtk.data.official_split import folder_split
from memtk.data.patients import without_suffix
from memtk.data.walk import printable

FOLDER = "([^/]+)/[^/]+$"
"""A pattern that makes each folder a patient."""

DATED = (
    r"^(.+?)[_-](?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d",
    r"^(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d[_-](.+)\.",
)
"""Patterns that make a patient of what stands before a day, or behind it."""

BEFORE = (
    r"(.+)[_-][A-Za-z]*\d+[_-][A-Za-z]*\d+\.",
    r"(.+)[_-]\d+\.",
    r"(.+)[_-][A-Za-z]+\d+\.",
)
"""Patterns that make a patient of what stands before the last one or two numbers of each name: _7,
_V07, _0_256."""

WORD = re.compile(r"[^\W\d_]|^\(\d+\)$")

NUMBER = re.compile(r"\d").search
"""Finds one in the name of a patient, which those of kinds of images lack: benign, malignant."""

PATTERN = "--set data.patient_pattern="


def made_of_others(rows: Sequence[Row]) -> list[str]:
    """Return the images whose names are those of others and a word, or another suffix: 7_flip."""
    stems: dict[tuple[Path, str], int] = Counter()
    paths = sorted({row.record.path for row in rows})
    parts = {path: re.split(r"([ _.-]+)", without_suffix(path.name)) for path in paths}
    for path, words in parts.items():
        stems[path.parent, "".join(words)] += 1

    def made(path: Path, words: list[str]) -> bool:
        rests = [(words[:n], words[n:]) for n in range(2, len(words), 2)]
        others = [(a[:-1], b) for a, b in rests] + [(b, a) for a, b in rests]
        if any((path.parent, "".join(o)) in stems and WORD.search("".join(w)) for o, w in others):
            return True
        return stems[path.parent, "".join(words)] > 1

    return [printable(path.name) for path, words in parts.items() if made(path, words)]


def way_to_patients(rows: Sequence[Row], folder: Path) -> str:
    """Say how each folder, each file of many images, or what names begin with becomes a patient.

    Folders and files whose names say visits, days, sequences or splits, or hold no number, are no
    patients.
    """
    paths = [row.record.path for row in rows]
    splits = len({row.split for row in rows})
    most, least = len(rows) / 2, max(2, splits)
    files = len({*paths})
    if 1 < files <= most:
        return f"; if each of the {files} files is a patient: {PATTERN}'([^/]+)$'"
    parts = [path.relative_to(folder).parts for path in paths if path.is_relative_to(folder)]
    deep = min(map(len, parts)) - 1 if len(parts) == len(paths) else 0
    names = [{part[depth] for part in parts} for depth in range(deep)]
    said = [
        all(map(tells_apart, level)) or all(map(folder_split, level)) or not all(map(NUMBER, level))
        for level in names
    ]
    own = [depth for depth in range(deep) if not said[depth]]
    for n, depth in enumerate(own, 1):
        count = len({tuple(part[k] for k in own[:n]) for part in parts})
        if least < len(names[depth]) == count <= most:
            last = all(len(part) == depth + 2 for part in parts)
            way = FOLDER if last else "^" + "[^/]+/" * depth + "([^/]+)/"
            return f"; if each of the {count} folders is a patient: {PATTERN}'{way}'"
    flat = deep and all(len(part) == deep + 1 for part in parts)
    count = len({part[-1] for part in parts})
    if flat and not own and least < count <= most:
        return f"; if files of one name are those of one of {count} patients: {PATTERN}'([^/]+)$'"
    visits = all(tells_apart(without_suffix(part[-1])) for part in parts)
    count = len({part[:-1] for part in parts})
    if flat and visits and splits == 1 and least < count <= most:
        return f"; if each of the {count} folders is a patient: {PATTERN}'^(.+)/[^/]+$'"
    own_names = [path.name for path in paths]
    ways = _ways(DATED, own_names, least, most) or _ways(BEFORE, own_names, least, most)
    return "".join(
        f"; if names {'hold' if pattern in DATED else 'begin with'} that of one of {count} "
        f"patients: {PATTERN}'{pattern}'"
        for count, pattern in ways.items()
    )


def _ways(
    patterns: Sequence[str], names: Sequence[str], least: float, most: float
) -> dict[int, str]:
    """Return the patterns that find a patient in all names, by the number of these."""
    ways = dict[int, str]()
    for pattern in patterns:
        begin = [re.match(pattern, name) for name in names]
        if all(begin) and least < (count := len({f[1] for f in begin if f})) <= most:
            ways.setdefault(count, pattern)
    return ways
