"""Reads and writes result files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from memtk.errors import UserError
from memtk.files import write_text
from memtk.results.migrations import migrate
from memtk.results.record import SCHEMA, StoredRecord
from memtk.results.schema import Checkpoint, Result

Stored = TypeVar("Stored", bound=StoredRecord)


def write_record(path: Path, record: StoredRecord) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        UserError: if the file cannot be written, naming it.
    """
    write_text(Path(path), record.model_dump_json(indent=1) + "\n")


AGAIN = "delete it and run the same command again"
"""The way out where a file of a run folder cannot be read."""


def read_record(path: Path, kind: type[Stored], way_out: str = AGAIN) -> Stored:
    """Read a record of a kind; one of an older schema as the newest would have written it.

    Args:
        way_out: what to do about a file that is damaged or does not fit.

    Raises:
        UserError: if the file is missing, damaged, or written by a newer memtk, naming it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = json.loads(text)
    except FileNotFoundError as error:
        if not Path(path).parent.is_dir():
            raise UserError(f"there is no folder {Path(path).parent}") from error
        raise UserError(f"there is no {path}: the run has not come that far") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {way_out}") from error
    version = tree.get("schema_version", SCHEMA) if isinstance(tree, dict) else SCHEMA
    if isinstance(version, int) and version > SCHEMA:
        raise UserError(
            f"{path} has schema {version}; this memtk reads schema {SCHEMA}: update memtk"
        )
    try:
        old = isinstance(tree, dict) and version != SCHEMA
        return kind.model_validate_json(json.dumps(migrate(tree)) if old else text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} does not fit: {where}: {first['msg']}: {way_out}") from error


def write_result(path: Path, result: Result) -> None:
    """Write the result of a cell, whole or not at all."""
    write_record(path, result)


def read_result(path: Path, way_out: str = AGAIN) -> Result:
    """Read the result of a cell; see `read_record` for what it raises."""
    return read_record(path, Result, way_out)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write what was found at one checkpoint, whole or not at all."""
    write_record(path, checkpoint)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what was found at one checkpoint; see `read_record` for what it raises."""
    return read_record(path, Checkpoint)
