"""The list of a run's images: where each lies, whose it is, and in which split."""

from __future__ import annotations

import contextlib
import csv
import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtk.data.columns import (
    column_names,
    cut_numbers,
    differing,
    made_days,
    names_hour,
    other_splits,
    parted_otherwise,
    renames,
    without_empty_columns,
)
from memtk.data.config import DataConfig
from memtk.data.formats import what_it_is
from memtk.data.labels import LABELS, PREVIEWS, path_names_labels, path_names_preview
from memtk.data.named_files import NoFile, below_manifest, lies_elsewhere, named_file
from memtk.data.patients import check_named, split_of, split_words
from memtk.data.pattern import patients_in
from memtk.data.readers import Readers, check_regular
from memtk.errors import UserError, did_you_mean, many, printable
from memtk.interfaces import Record

NAMED = 5
"""As many files, lines or patients are named in a message; the rest are counted."""

COLUMNS, SIZE = 1000, 500_000_000
"""A manifest has at most so many columns, and bytes."""

HOURS = (
    "patients are named by a day and an hour: if these are of examinations, two of one patient "
    "count as two patients, and may lie in two splits"
)

NO_TEXT = "is not a text file in UTF-8: save it as CSV (UTF-8)"


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


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the collector: one pass over all loaded modules takes longer than 10,000 rows."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@_uncollected()
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
    lines = without_empty_columns(list(_lines(path)))
    if not lines:
        raise UserError(f"{path} is empty: expected a line with path,patient_id,split")
    header = column_names(lines[0][1])
    _check_header(path, header, [column_names(cells) for _, cells in lines[1:10]])
    if not ("split" in header or config.resplit):
        _check_split(path, header, [cells for _, cells in lines[1:]], config, patients)
    if two := differing(header, [cells for _, cells in lines[1:]]):
        raise UserError(
            f"{path} has the columns {two[0]!r} and {two[1]!r}, and they differ: leave the wrong "
            "one out, or rename it if it says something else"
        )
    by_column = "patient_id" in header
    if patients:
        _check_patients(path, header, config)
    rows, files, problems, missing = [], [], [], ""
    listed: dict[Path, dict[str, Record]] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            problems.append(f"line {line} has {many(len(cells), 'cell')}, the header {len(header)}")
            continue
        values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        try:
            name = values["path"]
            row, file = _row(path, line, values, readers, listed, config)
            if by_column and patients and row.split != "synthetic":
                patient = check_named(values.pop("patient_id"), "the patient_id")
                row = replace(row, patient=patient)
            rows.append(row)
            files.append(file)
        except UserError as error:
            problems.append(f"line {line}: {error}")
            missing = missing or (name if isinstance(error, NoFile) else "")
    if patients and not by_column and (pattern := config.patient_pattern):
        asked = [i for i, row in enumerate(rows) if row.split != "synthetic"]
        found = patients_in(pattern, [files[i] for i in asked], path.parent)
        for i, patient in zip(asked, found, strict=True):
            rows[i] = replace(rows[i], patient=patient)
            if not patient:
                problems.append(
                    f"line {rows[i].line}: data.patient_pattern finds nothing in {files[i].name}"
                )
    if problems:
        there = lies_elsewhere(path.parent, missing) if missing else ""
        if {len(cells) for _, cells in lines[1:]} == {len(header) + 1}:
            there = "\nThe first line lacks the name of a column: R writes the numbers of rows so"
        raise UserError(f"{path}: " + few(problems, "\n") + there)
    if not rows:
        raise UserError(f"{path} names no images: there is nothing below its header")
    _check_unique(path, rows)
    if cut := cut_numbers({row.patient: 0 for row in rows if by_column}):
        raise UserError(
            f"{path}: {len(cut)} patient numbers have 15 digits and zeros behind them, "
            f"{few(cut)}: a spreadsheet has lost the others, and several patients may be one: save "
            "that column as text where the numbers are whole"
        )
    if days := made_days(dict.fromkeys(row.patient for row in rows if row.patient and by_column)):
        raise UserError(
            f"{path}: {len(days)} of the patients have a day for a name, {few(days)}: a "
            "spreadsheet made it of a name such as 3-12: save that column as text; if they are "
            "called so, write 2012_03_12"
        )
    hours = by_column and patients and any(names_hour(row.patient) for row in rows)
    readers.check_whole({row.record.path: row.patient for row in rows})
    _check_beside(path, rows, readers)
    return Manifest(tuple(rows), (HOURS,) if hours else (), named=patients)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of every line that is not blank."""
    check_regular(path)
    if path.stat().st_size > SIZE:
        raise UserError(f"{path} has more than {SIZE / 1e6:.0f} MB, and is no list of images")
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            for cells in reader:
                if any("\0" in cell for cell in cells):  # UTF-16, an archive, or no text at all
                    raise UserError(f"{path} {NO_TEXT}. Its line {reader.line_num} has a NUL")
                mark = reader.line_num == 1 and cells and cells[0].lower().startswith("sep=")
                # that is Excel's word for its own use; DOS ends files by \x1a
                if not mark and any(cell.strip(" \t\xa0\x1a") for cell in cells):
                    yield reader.line_num, cells
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} {NO_TEXT}") from error
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV at line {reader.line_num}: {error}") from error


def _check_header(path: Path, header: list[str], below: Sequence[list[str]]) -> None:
    if len(header) > COLUMNS:
        raise UserError(f"{path} has {many(len(header), 'column')}; up to {COLUMNS} are read")
    twice = sorted(name for name, count in Counter(header).items() if count > 1 and name)
    if twice:
        raise UserError(f"{path} has the column {twice[0]!r} twice")
    if "path" not in header:
        if what := what_it_is(path):
            raise UserError(f"{path} is no list of images: {what}")
        way = renames(header)
        if any({"path", "patient_id"} <= {*cells} for cells in below):
            way = " A line further down names the columns: take the lines above it out."
        raise UserError(f"{path} has no column 'path'; it has {_said(header)}.{way}")


def _check_split(
    path: Path, header: list[str], lines: Sequence[Sequence[str]], config: DataConfig, asked: bool
) -> None:
    """Refuse a split in a column of another name: it says which images were trained on."""
    if found := other_splits(header, lines, patients=asked):
        which = f"'{found[0]}'" if len(found) == 1 else f"one of {_said(found)}"
        way = "say --set data.resplit=true to split the patients anew"
        if config.sources_beside():  # these would be mixed with the images of this manifest
            way = "add a column 'split'"
        raise UserError(
            f"{path} has no column 'split', and says splits in {which}: rename it to 'split', with "
            f"train, val and test in it, or {way} if it means something else"
        )


def _said(header: Sequence[str]) -> str:
    """Return the names of columns in one line, as short as they can be told apart."""
    return few([" ".join(printable(name).split())[:40] or "''" for name in header])


def is_manifest(path: Path) -> bool:
    """Tell whether a CSV has a column `path`, and is not somebody else's table.

    Raises:
        UserError: if it is no CSV.
    """
    header = column_names(next(_lines(path), (0, []))[1])
    # one that is parted otherwise is refused with the way out, not left alone
    return "path" in (column_names(parted_otherwise(header)) or header)


def _check_patients(path: Path, header: list[str], config: DataConfig) -> None:
    if "patient_id" not in header and config.patient_pattern is None:
        raise UserError(
            f"{path} has no column 'patient_id'; it has {_said(header)}.{renames(header)}\n"
            "Add one, or read the patient out of the names: --set data.patient_pattern='(\\d+)_'"
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
    listed: dict[Path, dict[str, Record]],
    config: DataConfig,
) -> tuple[Row, Path]:
    name, item = values.pop("path"), values.pop("item", "")
    if not name:
        raise UserError("the path is empty")
    file = named_file(path.parent, name)
    split = ""
    if "split" in values:
        word = values.pop("split")
        split = split_of(word) or ""
        if not split:
            said = f"the split {word[:40]!r} is unknown" if word else "the split is empty"
            near = did_you_mean(word, split_words())
            raise UserError(f"{said}: write train, val, test or synthetic.{near}")
    if file not in listed:
        listed[file] = {record.item: record for record in readers.records(file)}
    record = _record(file, item, listed[file])
    kept = config.labels == "keep" and record.left_out == LABELS
    if record.left_out and not kept:
        said = f"{name} {item} is no image: {record.left_out}. Leave it out"
        raise UserError(said.replace("  ", " "))
    if path_names_labels(below_manifest(file, path)) and config.labels != "keep":
        raise UserError(
            f"{name} is no image, but {LABELS}: leave it out, or say --set data.labels=keep"
        )
    return Row(record, "", split, values, line), file


def _record(file: Path, item: str, records: Mapping[str, Record]) -> Record:
    if not item:
        images = [record for record in records.values() if not record.left_out]
        if len(images) == 1:
            return images[0]
        if not images:
            why = next((record.left_out for record in records.values()), "nothing is in it")
            raise UserError(f"{file} holds no image: {why}. Leave it out")
        raise UserError(
            f"{file} holds {many(len(images), 'image')}: add a column 'item', as in "
            f"{images[0].item or images[0].path.name}"
        )
    if item not in records:
        raise UserError(f"{file} has no image {item!r}")
    return records[item]


def _check_unique(path: Path, rows: Sequence[Row]) -> None:
    seen: dict[tuple[Path, str], int] = {}
    twice = []
    for row in rows:
        key = (row.record.path, row.record.item)
        if key in seen:
            twice.append(f"{row.name} (lines {seen[key]} and {row.line})")
        seen.setdefault(key, row.line)
    if twice:
        raise UserError(
            f"{path} names {many(len(twice), 'image')} twice: {few(twice)}. Keep one line of each"
        )


def _check_beside(path: Path, rows: Sequence[Row], readers: Readers) -> None:
    """Refuse what is no image beside the others: of a folder it is left out.

    A preview is none beside another image of its patient.
    """
    files = {row.record.path for row in rows}
    made = {row.record.path for row in rows if row.split == "synthetic"}
    found = readers.left_out(files - made, made)
    small = {file for file in files if path_names_preview(below_manifest(file, path))}
    whole = {row.patient for row in rows if row.record.path not in small}
    beside = {row.record.path for row in rows if row.patient in whole}
    found |= dict.fromkeys(small & beside, PREVIEWS)
    if odd := [row for row in rows if row.record.path in found]:
        whys = ", ".join(sorted({found[row.record.path] for row in odd}))
        names = few([f"{row.name} (line {row.line})" for row in odd])
        raise UserError(f"{path} names {len(odd)} {whys}: {names}. Leave them out")
