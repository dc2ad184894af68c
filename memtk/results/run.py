"""A run folder: what was asked, and the results of its cells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from memtk import __version__
from memtk.errors import UserError, many
from memtk.results.audit import FirstVerdict, Policy, read_audit
from memtk.results.migrations import SCHEMA
from memtk.results.schema import Result, read_result
from memtk.results.store import OF_BENCHES, FolderName, StoredRecord, read_record, write_record


def now() -> str:
    """Return the time for a person to read."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


class RunFile(StoredRecord):
    """`run.json`: what was asked of a run.

    Args:
        schema_version: of this file.
        memtk_version: that began the run.
        command: the words of the command line, where it is known; they may name paths, so no
            report shows them.
        recipe: all that determines the numbers.
        cells: folder names under `cells/`, in the order they are run.
        created: when, for a person to read.
        first_verdict: of the audit of the same images that was thrown away for this run.
    """

    schema_version: int = SCHEMA
    memtk_version: str = __version__
    command: list[str] | None = None
    recipe: dict[str, Any]
    cells: list[FolderName]
    created: str = Field(default_factory=now)
    first_verdict: FirstVerdict | None = None

    @field_validator("recipe")
    @classmethod
    def _has_tables(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        for name in ("suite", "bench", "data", "settings", "audit"):
            if not isinstance(recipe.get(name), dict | None):
                raise ValueError(f"{name} is no table")
        return recipe


@dataclass(frozen=True)
class Run:
    """A run as it lies in its folder.

    Args:
        folder: where.
        file: what was asked.
        results: of the finished cells, in the order of `file.cells`.
        missing: cells without a result yet.
    """

    folder: Path
    file: RunFile
    results: tuple[Result, ...]
    missing: tuple[str, ...]


def write_run_file(folder: Path, file: RunFile) -> None:
    """Write `folder/run.json`, whole or not at all."""
    write_record(Path(folder) / "run.json", file)


def run_of(path: Path) -> tuple[Path, str | None]:
    """Return the run folder that a path means, and the cell if it means one.

    Args:
        path: folder of a bench, an audit or a study, of one of its cells, or a file in either.

    Raises:
        UserError: if there is no such path, or it lies in no run.
    """
    path = Path(path)
    home = path if path.is_dir() or not path.exists() else path.parent
    if any((home / name).exists() for name in ("run.json", "study.json")):
        return home, None
    cells, cell = os.path.split(os.path.abspath(home))
    if os.path.basename(cells) == "cells" and os.path.exists(os.path.join(cells, "..", "run.json")):
        run = os.path.dirname(cells)
        return Path(run if path.is_absolute() else os.path.relpath(run)), cell
    raise _no_run(path)


def _no_run(path: Path) -> UserError:
    if not path.exists():
        return UserError(f"there is no {path}: name the folder of a run")
    return UserError(f"{path} is no run folder: it has no run.json, as memtk bench and audit make.")


def find_one(path: Path) -> Path:
    """Return the only `result.json` in a folder and below; a file as it is.

    Raises:
        UserError: as `find_results`, or if there are several.
    """
    found = find_results(path)
    if len(found) > 1:
        names = ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")
        raise UserError(f"{path} holds {many(len(found), 'result')}: name one of them, {names}")
    return found[0]


def find_results(path: Path) -> list[Path]:
    """Return the files named `result.json` in a folder and below, sorted; a file as it is.

    Raises:
        UserError: if there is no such file or folder, or no result in it.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"there is no {path}: name a result.json, or a folder with some below")
        return [path]
    found = sorted(path.rglob("result.json"))
    if not found:
        if (path / "audit.json").is_file():
            raise UserError(f"{path} is an audit; {OF_BENCHES}")
        raise UserError(
            f"{path} holds no result.json: `memtk bench` leaves one a cell in its run folder, and "
            "`memtk results add RUN DIR` collects them"
        )
    return found


def find_runs(path: Path) -> list[Path]:
    """Return the run folder that a path means, or those of the benches in a folder and below.

    Raises:
        UserError: as `run_of`, where there is none.
    """
    runs = sorted(file.parent for file in Path(path).rglob("run.json") if _is_bench(file.parent))
    return runs if runs and not (Path(path) / "run.json").exists() else [run_of(path)[0]]


def _is_bench(folder: Path) -> bool:
    return (folder / "cells").is_dir()


def read_run_file(folder: Path) -> RunFile:
    """Read `folder/run.json`.

    Raises:
        UserError: if it is missing, damaged or of a newer memtk, naming it.
    """
    path = Path(folder) / "run.json"
    if not path.exists():
        raise _no_run(Path(folder))
    return read_record(path, RunFile)


def first_verdict(path: Path, policy: Policy) -> FirstVerdict | None:
    """Return the verdict by another policy on the same images; None where none is known.

    That of the audit file is known, and that of the audit that was thrown away for this run. Of a
    run in another folder nothing is.

    Args:
        path: the audit file, there or not.
        policy: that is applied now.

    Raises:
        UserError: if a file is damaged.
    """
    if path.exists():
        audit = read_audit(path)
        verdict = FirstVerdict(outcome=audit.verdict.outcome, policy=audit.policy)
        first = audit.first_verdict or verdict
    else:
        known = path.with_name("run.json").exists()
        kept = read_run_file(path.parent).first_verdict if known else None
        if kept is None:
            return None
        first = kept
    return None if first.policy == policy else first


def kept_verdict(folder: Path, recipe: Mapping[str, Any]) -> FirstVerdict | None:
    """Return the first verdict on the images of a recipe before their audit is thrown away.

    None where the folder holds none, or one that cannot be read.
    """
    try:
        file = read_run_file(folder)
        if any(file.recipe.get(name) != recipe.get(name) for name in ("data", "embeddings")):
            return None
        if not (folder / "audit.json").exists():
            return file.first_verdict
        audit = read_audit(folder / "audit.json")
    except UserError:
        return None
    verdict = FirstVerdict(outcome=audit.verdict.outcome, policy=audit.policy)
    return audit.first_verdict or file.first_verdict or verdict


def read_run(folder: Path) -> Run:
    """Read a run folder with the results that are there.

    Raises:
        UserError: if `run.json` or a result cannot be read, naming the file.
    """
    folder = Path(folder)
    file = read_run_file(folder)
    if file.recipe.get("audit") is not None:
        if not (folder / "audit.json").exists():
            raise UserError(f"the audit in {folder} is not finished: run the same command again")
        raise UserError(f"{folder} is an audit; {OF_BENCHES}")
    paths = {cell: folder / "cells" / cell / "result.json" for cell in file.cells}
    return Run(
        folder,
        file,
        tuple(_result_of(cell, path) for cell, path in paths.items() if path.exists()),
        tuple(cell for cell, path in paths.items() if not path.exists()),
    )


def _result_of(cell: str, path: Path) -> Result:
    result = read_result(path)
    if result.cell != cell:
        raise UserError(
            f"{path} is the result of a cell {result.cell!r}: somebody has moved or changed it"
        )
    return result
