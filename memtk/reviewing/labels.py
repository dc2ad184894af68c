"""What readers say of pairs: a file for each, written at every label; it names no patient."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import AfterValidator, Field, ValidationError

from memtk import __version__
from memtk.errors import UserError, many
from memtk.files import explain, write_text
from memtk.results.migrations import SCHEMA
from memtk.results.review import CONSENSUS, Label, ReaderName
from memtk.results.store import StoredRecord, read_record
from memtk.reviewing.draw import Draw

WAY_OUT = "put it back as it was, or move it away"
"""Of a damaged file of labels."""

DAY = 86_400.0
"""Seconds."""


class Reading(StoredRecord):
    """One label.

    Args:
        label: what the reader calls the pair.
        seconds: that the pair was looked at, without pauses; a day at most, of a page left open.
        at: when, in seconds since 1970: of two labels of a pair the later one counts. What lies in
            the future is taken for now.
    """

    label: Label
    seconds: Annotated[float, AfterValidator(lambda seconds: min(seconds, DAY))] = Field(
        default=0.0, ge=0, allow_inf_nan=False
    )
    at: float = Field(default_factory=time.time, ge=0, allow_inf_nan=False)


class Labels(StoredRecord):
    """All labels of one reader.

    Args:
        schema_version: of this file.
        memtk_version: that wrote it.
        draw: name of the draw that the pairs are of.
        reader: as given.
        labels: by the name of the pair.
    """

    schema_version: int = SCHEMA
    memtk_version: str = __version__
    draw: str
    reader: ReaderName
    labels: dict[str, Reading] = {}


def labels_path(folder: Path, reader: str) -> Path:
    """Return the file of a reader, whose name may hold anything."""
    return folder / f"labels-{hashlib.sha256(reader.encode()).hexdigest()[:12]}.json"


def read_labels(folder: Path, draw: Draw, reader: str) -> Labels:
    """Return what a reader has said so far.

    Raises:
        UserError: if the file is damaged or of other pairs, or the name is none.
    """
    nothing = _nothing(draw, reader)
    path = labels_path(folder, reader)
    found = read_record(path, Labels, WAY_OUT) if path.exists() else nothing
    return _checked(found, draw, path) if found.labels else nothing


def all_labels(folder: Path, draw: Draw) -> list[Labels]:
    """Return the labels of everybody who gave one, by name, the consensus last."""
    found = [
        _checked(said, draw, path)
        for path in sorted(folder.glob("labels-*.json"))
        if (said := read_record(path, Labels, WAY_OUT)).labels
    ]
    return sorted(found, key=lambda each: (each.reader == CONSENSUS, each.reader))


def save(folder: Path, draw: Draw, reader: str, labels: Mapping[str, Reading]) -> Labels:
    """Put labels into the file of a reader, whole or not at all; return all of them.

    Of two labels of a pair the later one stays. Whoever else writes the same file waits, so that
    nothing is lost.

    Raises:
        UserError: for a pair that is not of this draw, if the name of the reader is none, or if it
            cannot be written.
    """
    unknown = labels.keys() - {pair.name for pair in draw.pairs}
    if unknown:
        raise UserError(
            f"{many(len(unknown), 'label', 'is/are')} of pairs that are not of this draw"
        )
    if not labels:
        return read_labels(folder, draw, reader)
    _nothing(draw, reader)
    folder.mkdir(mode=0o700, exist_ok=True)
    path, now = labels_path(folder, reader), time.time()
    with explain(path), FileLock(folder / ".lock"):
        before = read_labels(folder, draw, reader)
        kept = dict(before.labels)
        for name, reading in labels.items():
            at = min(reading.at, now)
            if name not in kept or min(kept[name].at, now) <= at:
                kept[name] = reading.model_copy(update={"at": at})
        after = before.model_copy(update={"labels": kept})
        write_text(path, after.model_dump_json(indent=1) + "\n", private=True)
    return after


def add_file(folder: Path, draw: Draw, path: Path, reader: str | None = None) -> Labels:
    """Take over the labels that an offline page has saved.

    Args:
        reader: in place of the name in the file. The consensus alone can be read as that.

    Raises:
        UserError: if it is no such file, or of other pairs, or is the consensus of readers and not
            asked for as that, or the other way round; nothing is taken over then.
    """
    given = read_record(path, Labels, "give the file that the page has saved")
    _checked(given, draw, path)
    if (given.reader == CONSENSUS) != (reader == CONSENSUS):
        raise UserError(
            f"{path} holds what readers agreed on: add it with --consensus"
            if given.reader == CONSENSUS
            else f"{path} holds labels of {given.reader}, no consensus: leave --consensus out"
        )
    return save(folder, draw, given.reader if reader is None else reader, given.labels)


def _nothing(draw: Draw, reader: str) -> Labels:
    try:
        return Labels(draw=draw.name, reader=reader)
    except ValidationError as error:
        raise UserError(f"--reader {reader!r}: {error.errors()[0]['msg']}") from error


def _checked(labels: Labels, draw: Draw, path: Path) -> Labels:
    if labels.draw != draw.name or labels.labels.keys() - {pair.name for pair in draw.pairs}:
        raise UserError(f"{path} holds labels of other pairs than those of this run")
    return labels
