"""The list of a run's images: where each lies, whose it is, and in which split."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtk.data.config import DataConfig
from memtk.data.readers import Readers
from memtk.data.splits import split_of, split_words
from memtk.errors import UserError, did_you_mean
from memtk.interfaces import Record

NAMED = 5
"""As many files, lines or patients are named in a message; the rest are counted."""


@dataclass(frozen=True)
class Row:
    """One image.

    Args:
        record: where it lies.
        patient: whose it is; "" where nothing says so.
        split: "training", "validation", "held_out", "synthetic"; "" where nothing says so.
        extra: further columns of the manifest, as they stand there.
        line: of the manifest, 0 if the row comes from a folder.
    """

    record: Record
    patient: str = ""
    split: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    @property
    def name(self) -> str:
        """Names the image in messages."""
        item = f" ({self.record.item})" if self.record.item else ""
        return f"{self.record.path}{item}"


@dataclass(frozen=True)
class Manifest:
    """All images, and sentences that the user should read about how they were found.

    Args:
        named: False where nothing says whose the images are, and each counts as a patient.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    named: bool = True


def few(names: Sequence[object], mark: str = ", ") -> str:
    """Join the first names and count the others.

    >>> few(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    rest = len(names) - NAMED
    gap = "\n" if mark == "\n" else " "
    return mark.join(map(str, names[:NAMED])) + (f"{gap}and {rest} more" if rest > 0 else "")


def patient_in(pattern: str, path: Path, folder: Path) -> str | None:
    """Return what the group of `pattern` finds in a file's name, or in its path below `folder`.

    >>> patient_in(r"(\\d+)_", Path("d/0012_003.png"), Path("d"))
    '0012'
    """
    text = path.name
    if "/" in pattern:
        text = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    found = re.search(pattern, text)
    return found.group(1) or None if found else None


def read_manifest(
    path: Path, config: DataConfig, readers: Readers, *, patients: bool = True
) -> Manifest:
    """Read a CSV with the columns `path`, `patient_id` and `split` (and `item`, optionally).

    Paths are relative to the CSV. Without `split` the patients are split later; without
    `patient_id`, `data.patient_pattern` is needed. `item` names one image of a file that holds
    several, as in `train_images/12`. Where several sources are given, the column `patient_id` of
    one wins over `data.patient_pattern`.

    Args:
        patients: False for synthetic images: whose they are is not asked.

    Raises:
        UserError: naming the file and the line, for anything missing or unknown.
    """
    lines = list(_lines(path))
    if not lines:
        raise UserError(f"{path} is empty: expected a line with path,patient_id,split")
    header = [name.strip().lower() for name in lines[0][1]]
    _check_header(path, header)
    by_column = "patient_id" in header
    if patients:
        _check_patients(path, header, config)
    pattern = None if by_column else config.patient_pattern
    rows, problems = [], []
    listed: dict[Path, Sequence[Record]] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            problems.append(f"line {line} has {len(cells)} cells, the header {len(header)}")
            continue
        values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        try:
            name = values["path"]
            row = _row(path, line, values, readers, listed)
            patient = _patient(path.parent, name, values, pattern) if patients else ""
            rows.append(replace(row, patient=patient))
        except UserError as error:
            problems.append(f"line {line}: {error}")
    if problems:
        raise UserError(f"{path}: " + few(problems, "\n"))
    if not rows:
        raise UserError(f"{path} names no images: there is nothing below its header")
    _check_unique(path, rows)
    return Manifest(tuple(rows), named=patients)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8: save it as CSV (UTF-8)") from error
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV at line {reader.line_num}: {error}") from error


def _check_header(path: Path, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{path} has the column {twice[0]!r} twice")
    there = ", ".join(header)
    if "path" not in header:
        near = difflib.get_close_matches("path", header, n=1)
        hint = f" Rename {near[0]!r} to 'path'." if near else ""
        if any(mark in there for mark in ";\t"):
            hint = " Separate the columns by commas."
        raise UserError(f"{path} has no column 'path'; it has {there}.{hint}")


def _check_patients(path: Path, header: list[str], config: DataConfig) -> None:
    if "patient_id" not in header and config.patient_pattern is None:
        raise UserError(
            f"{path} has no column 'patient_id'; it has {', '.join(header)}.\nAdd one, or read the "
            "patient out of the file names: --set data.patient_pattern='(\\d+)_'"
        )
    one_source = not config.sources_beside()
    if "patient_id" in header and config.patient_pattern is not None and one_source:
        raise UserError(
            f"{path} has a column 'patient_id', and data.patient_pattern is asked for as well: "
            "leave one out"
        )


def _row(
    path: Path,
    line: int,
    values: dict[str, str],
    readers: Readers,
    listed: dict[Path, Sequence[Record]],
) -> Row:
    name, item = values.pop("path"), values.pop("item", "")
    if not name:
        raise UserError("the path is empty")
    file = path.parent / name
    if not file.exists():
        raise UserError(f"there is no file {file}")
    split = ""
    if "split" in values:
        word = values.pop("split")
        split = split_of(word) or ""
        if not split:
            said = f"the split {word!r} is unknown" if word else "the split is empty"
            near = did_you_mean(word, split_words())
            raise UserError(f"{said}: write train, val, test or synthetic.{near}")
    if file not in listed:
        listed[file] = readers.records(file)
    return Row(_record(file, item, listed[file]), "", split, values, line)


def _patient(folder: Path, name: str, values: dict[str, str], pattern: str | None) -> str:
    if pattern is not None:
        patient = patient_in(pattern, folder / name, folder) or ""
        if not patient:
            raise UserError(f"data.patient_pattern finds nothing in {name}")
    else:
        patient = values.pop("patient_id")
        if not patient:
            raise UserError("the patient_id is empty")
    return patient


def _record(file: Path, item: str, records: Sequence[Record]) -> Record:
    if not item:
        if len(records) == 1:
            return records[0]
        raise UserError(
            f"{file} holds {len(records)} images: add a column 'item', as in {records[0].item}"
        )
    for record in records:
        if record.item == item:
            return record
    raise UserError(f"{file} has no image {item!r}")


def _check_unique(path: Path, rows: Sequence[Row]) -> None:
    seen: dict[tuple[Path, str], int] = {}
    twice = []
    for row in rows:
        key = (row.record.path, row.record.item)
        if key in seen:
            twice.append(f"{row.name} (lines {seen[key]} and {row.line})")
        seen.setdefault(key, row.line)
    if twice:
        raise UserError(f"{path} names {len(twice)} images twice: {few(twice)}")
