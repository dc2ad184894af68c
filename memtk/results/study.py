"""A study folder: what was varied, and the runs of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from memtk import __version__
from memtk.errors import UserError
from memtk.results.migrations import SCHEMA
from memtk.results.run import now, read_run
from memtk.results.schema import Result
from memtk.results.store import FolderName, StoredRecord, read_record, write_record

STUDY = "study.json"
"""The file of a study in its folder."""

SEED = "seed"
"""The axis over which everything else is averaged."""


class StudyAxis(StoredRecord):
    """A setting that is varied.

    Args:
        key: as it was typed: `seed`, `generator`, `mitigation.datasize`, any key of `--set`.
        values: as texts, in the order they were typed.
    """

    key: str
    values: list[str]

    @property
    def label(self) -> str:
        """The key for a reader: without the table that is plain from the rest."""
        for table in ("mitigation.", "bench."):
            if self.key.startswith(table):
                return self.key.removeprefix(table)
        return self.key


class StudyRun(StoredRecord):
    """One run of a study.

    Args:
        name: of its folder under `cells/`.
        values: by the axes' keys.
        recipe: of the bench.
        images: names what it shares with the cells of the same images.
        detector: names what it shares with the cells of the same copy detector; None in image
            space.
    """

    name: FolderName
    values: dict[str, str]
    recipe: dict[str, Any]
    images: FolderName
    detector: FolderName | None = None


class StudyFile(StoredRecord):
    """`study.json`: what was asked of a study.

    Args:
        schema_version: of this file.
        memtk_version: that wrote it.
        kind: "grid", "iterations", "datasize" or "augmentation".
        axes: what is varied; none where finished runs were given and are of one setting.
        cells: one for each combination of the axes' values.
        runs: folders of finished runs that were given in place of cells.
        equal_epochs: whether the steps of the generators follow the number of training images.
        device: that the cells ask for.
        created: when, for a person to read.
    """

    schema_version: int = SCHEMA
    memtk_version: str = __version__
    kind: str
    axes: list[StudyAxis] = []
    cells: list[StudyRun] = []
    runs: list[str] = []
    equal_epochs: bool = False
    device: str = "auto"
    created: str = Field(default_factory=now)


@dataclass(frozen=True)
class Finding:
    """The result of one generator in one cell of a study.

    Args:
        cell: the name of the cell.
        values: of the axes, by key.
        result: what was found.
        run: the run folder.
    """

    cell: str
    values: Mapping[str, str]
    result: Result
    run: Path


@dataclass(frozen=True)
class Study:
    """A study as it lies in its folder.

    Args:
        folder: where.
        file: what was asked.
        findings: of the finished cells, in the order of the cells.
        missing: cells without a result yet.
        failed: what kept a cell from being finished, in words for the user, by cell.
    """

    folder: Path
    file: StudyFile
    findings: tuple[Finding, ...]
    missing: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def runs(self) -> int:
        """How many runs it has, finished or not."""
        return len(self.file.cells) + len(self.file.runs)


class Failure(StoredRecord):
    """`failed/NAME.json`: what kept a part of a study from being finished."""

    message: str


def write_study_file(folder: Path, file: StudyFile) -> None:
    """Write `folder/study.json`, whole or not at all."""
    write_record(Path(folder) / STUDY, file)


def read_study_file(folder: Path) -> StudyFile:
    """Read `folder/study.json`.

    Raises:
        UserError: if it is missing, damaged or of a newer memtk, naming it.
    """
    path = Path(folder) / STUDY
    if not path.exists():
        raise UserError(f"{folder} is no study: it has no {STUDY}. `memtk study` makes one.")
    return read_record(path, StudyFile)


def cell_folder(folder: Path, name: str) -> Path:
    """Return the run folder of a cell."""
    return Path(folder) / "cells" / name


def failure_path(folder: Path, part: str) -> Path:
    """Return where it is said what kept a part of a study from being finished."""
    return Path(folder) / "failed" / f"{part}.json"


def read_study(folder: Path) -> Study:
    """Read a study with the results that are there.

    Raises:
        UserError: if a file cannot be read, naming it.
    """
    folder = Path(folder)
    file = read_study_file(folder)
    findings: list[Finding] = []
    missing: list[str] = []
    failed: dict[str, str] = {}
    for cell in file.cells:
        run = cell_folder(folder, cell.name)
        results = finished_results(run)
        if results is None:
            missing.append(cell.name)
            path = failure_path(folder, cell.name)
            if path.exists():
                failed[cell.name] = read_record(path, Failure).message
            continue
        findings += [Finding(cell.name, cell.values, result, run) for result in results]
    for number, name in enumerate(file.runs, 1):
        for result in read_run(Path(name)).results:
            findings.append(Finding(f"run {number}", {SEED: str(result.seed)}, result, Path(name)))
    return Study(folder, file, tuple(findings), tuple(missing), failed)


def finished_results(run: Path) -> tuple[Result, ...] | None:
    """Return the results of a run, or None if it is not finished (or not begun)."""
    if not (run / "run.json").exists():
        return None
    found = read_run(run)
    return None if found.missing else found.results
