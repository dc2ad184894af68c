"""Takes out of a run folder what others need to trust its results, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from memtk.errors import UserError
from memtk.files import TEMPORARY, copy_file
from memtk.results.redact import redact
from memtk.results.run import read_run
from memtk.results.schema import Result, write_result
from memtk.results.store import has_arrays, read_arrays, write_arrays
from memtk.results.validate import ARRAYS, FILE, validate

MOST = 4_000_000
"""Bytes of arrays.h5 above which the arrays of the last checkpoint alone are taken."""

REPORT = "report.html"


def add(run: Path, into: Path, *, report: bool = False) -> list[Path]:
    """Copy the results of a run into a collection; return the folder of each.

    Into `SUITE-VERSION/PRESET/CELL-KEY/seed-N/` go `result.json`, in which whatever could name a
    place or a patient is hidden, and `arrays.h5`. No image, no embedding, no weights, no key. What
    is there of the same cell, settings and seed is replaced.

    Args:
        run: folder of a bench; cells that are not finished are left out.
        report: take the run's report along. It shows training images.

    Raises:
        UserError: if it is no run folder, no cell is finished, or a result is not valid.
    """
    found = read_run(run)
    if not found.results:
        raise UserError(f"no cell of {run} is finished: run the same command again")
    page = found.folder / REPORT
    if report and (page.is_symlink() or not page.is_file()):  # a link may lead to any file of yours
        raise UserError(f"there is no {page}: `memtk report {run}` makes it")
    done = [cell for cell in found.file.cells if cell not in found.missing]
    folders = []
    for cell, result in zip(done, found.results, strict=True):
        shown = Result.model_validate_json(json.dumps(redact(json.loads(result.model_dump_json()))))
        folder = Path(into) / place_of(shown)
        _check_free(folder)
        with tempfile.TemporaryDirectory() as made:
            write_result(Path(made) / FILE, shown)
            _copy_arrays(found.folder / "cells" / cell / ARRAYS, Path(made) / ARRAYS, shown)
            if wrong := validate(Path(made) / FILE).failed:
                raise UserError(f"{cell} of {run} is not valid: {wrong[0].name}: {wrong[0].detail}")
            _tidy(folder)
            for name in (FILE, ARRAYS):
                if (Path(made) / name).exists():
                    copy_file(Path(made) / name, folder / name)
        if report:
            copy_file(found.folder / REPORT, folder / REPORT)
        folders.append(folder)
    return folders


def _tidy(folder: Path) -> None:
    """Take away what belongs to an earlier result, and what a killed call left half written."""
    for name in (ARRAYS, REPORT):
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob(".*.tmp"):
        if TEMPORARY.fullmatch(path.name) and path.name[1:-13] in (FILE, ARRAYS, REPORT):
            path.unlink(missing_ok=True)


def _check_free(folder: Path) -> None:
    """See that a place in a collection is new, or holds a result of memtk's.

    Raises:
        UserError: if something else is there.
    """
    there = [name for name in (FILE, ARRAYS, REPORT) if (folder / name).exists()]
    if there and (FILE not in there or not validate(folder / FILE).schema):
        raise UserError(
            f"{folder / there[0]} is there, and memtk did not write it: name another collection"
        )


def place_of(result: Result) -> Path:
    """Return where in a collection a result lies; other settings give another place."""
    suite = result.suite
    benchmark = f"{suite.name}-{suite.version}" if suite else f"data-{result.data.fingerprint[:8]}"
    cell = f"{result.cell}-{key_of(_identity(result))}"
    names = (benchmark, result.preset, cell, f"seed-{result.seed}")
    return Path(*(slug(name) for name in names))


def key_of(value: Any) -> str:
    """Return six characters that stand for a JSON tree."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


def slug(text: str) -> str:
    """Return a text as a file name that every system takes.

    >>> slug("monai2d+augment"), slug("../a b")
    ('monai2d+augment', 'a-b')
    """
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip(".-")[:120] or "none"


def _identity(result: Result) -> Any:
    bench = (result.request or {}).get("bench", {})
    return [
        result.components.model_dump(mode="json", exclude={"protocols"}),
        {key: value for key, value in bench.items() if key != "seed"},
        result.data.fingerprint,
    ]


def _copy_arrays(source: Path, target: Path, result: Result) -> None:
    if not source.exists():
        return
    whole = source.stat().st_size <= MOST
    kept = result.evaluated if whole else [result.last]
    for label in ["training", *(c.label for c in kept)]:
        if has_arrays(source, label):
            write_arrays(target, label, read_arrays(source, label))
