"""Walks a folder of images. Every file is counted: read, left out with its reason, or refused."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtk.data.file_names import below
from memtk.data.formats import LISTS, TABLES, is_zarr, way_to_read
from memtk.data.labels import (
    LABELS,
    PREVIEWS,
    names_labels,
    path_names_labels,
    path_names_preview,
)
from memtk.data.manifest import few
from memtk.data.official_split import folder_split
from memtk.data.readers import Readers, check_regular
from memtk.errors import UserError, many
from memtk.interfaces import Record

HIDDEN = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "#recycle"),
        *("$recycle.bin", "system volume information", "lost+found"),
    }
)
"""What systems leave behind, beside what has a name that begins with a dot: some hold previews."""

CLOSED = ("/proc", "/sys", "/dev")
"""Folders of the system, which hold no images and have no end."""


@dataclass
class Walk:
    """What was found below a folder.

    Args:
        records: of the images.
        left_out: of each reason, what was left out for it.
        unknown: files of no known format.
        problems: what cannot be listed, a sentence each.
    """

    records: list[Record] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unknown: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Say how many files are no images, and why."""
        notes = []
        ways: dict[str, list[Path]] = defaultdict(list)
        for path in self.unknown:
            table = path.name.lower().endswith((*TABLES, *LISTS))
            ways["" if table else way_to_read(path)].append(path)
        for way, paths in sorted(ways.items()):
            kinds = Counter(path.suffix or path.name for path in paths)
            said = few([f"{count} {suffix}" for suffix, count in sorted(kinds.items())])
            are, instead = ("is" if len(paths) == 1 else "are"), ""
            what = "is no image by its name" if are == "is" else "are no images by their names"
            if way:
                what, instead = "may hold images that memtk does not read", f"; {way}"
            notes.append(f"{many(len(paths), 'file')} {what} and {are} left out: {said}{instead}")
        for why, names in sorted(self.left_out.items()):
            notes.append(f"left out, {why} ({len(names)}): {few(names)}")
        return notes

    def take_left_out(self, top: Path, *, keep_labels: bool) -> None:
        """Take out of the records what is no image, by its reader or by its name below `top`."""
        images = []
        names = {record.path: below(record.path, top) for record in self.records}
        files = {path for path in names if not path.is_dir()}  # of one that holds many images: once
        small = {path for path in files if path_names_preview(Path(names[path]))}
        labels = {path for path in files if path_names_labels(Path(names[path]))}
        there = [record for record in self.records if not record.left_out]
        if all(record.path in small for record in there):
            small = set()
        for record in self.records:
            name = names[record.path]
            why = record.left_out or (PREVIEWS if record.path in small else "")
            if not why and record.path in labels:
                why = LABELS
            if not why or (why == LABELS and keep_labels):
                images.append(record)
            else:
                self.left_out[why].append(f"{name} ({record.item})" if record.item else name)
        self.records = images


def walk(top: Path, readers: Readers, *, keep_labels: bool = False) -> Walk:
    """List the images below a folder, at any depth; links are followed, each folder once.

    Args:
        keep_labels: whether label maps, known by their names, count as images.

    Raises:
        UserError: if files cannot be listed or are not what their names say, counting them.
    """
    found, seen = Walk(), {os.path.realpath(top)}
    if _in_system(os.path.realpath(top)):
        raise UserError(f"{top} is a folder of the system, and holds no images")
    for place, folders, names in os.walk(top, onerror=_lost(found), followlinks=True):
        here = Path(place)
        hidden = sorted(name for name in (*folders, *names) if _is_hidden(name))
        found.left_out["hidden files or folders"] += [below(here / n, top) for n in hidden]
        labelled = [f for f in sorted(folders) if not keep_labels and names_labels(f, folder=True)]
        for folder in (f for f in labelled if f not in hidden):
            count = sum(len(files) for _, _, files in os.walk(here / folder))
            found.left_out[LABELS].append(f"{below(here / folder, top)}/ ({many(count, 'file')})")
        derived = []
        if here == top and any(re.match(r"(?i)sub-|rawdata$", name) for name in folders):
            derived = [name for name in folders if name in {"derivatives", "sourcedata"}]
            found.left_out["folders of what was made of the images (BIDS)"] += derived
        shown = set(folders) - {*hidden, *labelled, *derived}
        arrays = {name for name in shown if is_zarr(here / name)}
        found.unknown += [here / name for name in sorted(arrays)]
        folders[:] = [f for f in sorted(shown - arrays) if _is_new(here / f, top, seen, found)]
        files = [here / n for n in sorted(set(names) - set(hidden))]
        _list_files(here, files, readers, found)
    try:
        readers.check_whole({})
    except UserError as error:
        found.problems.append(printable(error))
    images = {record.path for record in found.records if not record.left_out}
    made = {p for p in images if folder_split(below(p, top).partition("/")[0]) == "synthetic"}
    beside = readers.left_out(images - made, made)
    found.records = [
        replace(r, left_out=r.left_out or beside.get(r.path, "")) for r in found.records
    ]
    found.take_left_out(top, keep_labels=keep_labels)
    if found.problems:
        raise UserError(
            f"{many(len(found.problems), 'file')} cannot be listed:\n" + few(found.problems, "\n")
        )
    for why in [why for why, names in found.left_out.items() if not names]:
        del found.left_out[why]
    return found


def _list_files(here: Path, files: list[Path], readers: Readers, found: Walk) -> None:
    """List the images of the files right in a folder, of which slices make images together."""
    together = False
    for path in files:
        try:
            check_regular(path)
            str(path).encode()
            if readers.is_slice(path):
                together = True
            elif readers.knows(path):
                found.records += readers.records(path)
            else:
                found.unknown.append(path)
        except UserError as error:
            found.problems.append(printable(error))
        except UnicodeEncodeError:
            found.problems.append(f"{printable(path)}: its name is not in UTF-8, rename it")
    if together:
        try:
            found.records += readers.records(here)
        except UserError as error:
            found.problems.append(str(error))


def printable(text: object) -> str:
    """Return a text whose bytes that are no UTF-8 are spelled out."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _is_new(folder: Path, top: Path, seen: set[str], found: Walk) -> bool:
    """Tell whether a folder has not been walked yet: links may go round in circles."""
    real, all_of_it = os.path.realpath(folder), os.path.realpath(top)
    if folder.is_symlink() and _in_system(real):
        found.left_out["links into folders of the system"].append(below(folder, top))
        return False
    within = Path(real).is_relative_to(all_of_it) or Path(all_of_it).is_relative_to(real)
    if real in seen or (folder.is_symlink() and within):
        found.left_out["links to folders that are read anyway"].append(below(folder, top))
        return False
    seen.add(real)
    return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN


def _in_system(real: str) -> bool:
    inside = any(Path(real).is_relative_to(closed) for closed in CLOSED)
    return inside and not Path(real).is_relative_to("/dev/shm")


def _lost(found: Walk) -> Callable[[OSError], None]:
    def note(error: OSError) -> None:
        found.problems.append(f"cannot read {printable(error.filename)}: {error.strerror}")

    return note
