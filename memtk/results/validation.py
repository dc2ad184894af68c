"""Is a file of results what it says it is?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from memtk.errors import UserError, one_line
from memtk.results.checks import Check, check_result
from memtk.results.migrations import migrate
from memtk.results.record import SCHEMA
from memtk.results.schema import Result

FILE, ARRAYS = "result.json", "arrays.h5"
"""The names that results are found by."""


@dataclass(frozen=True)
class Validation:
    """What came of looking at a file.

    Args:
        path: the file.
        checks: all that was asked, in order.
        result: what it holds; None if it does not fit the schema.
        schema: the version that the file itself was written with; 0 if it says none.
        digest: SHA-256 of the file, in hexadecimal digits.
    """

    path: Path
    checks: tuple[Check, ...]
    result: Result | None
    schema: int
    digest: str

    @property
    def failed(self) -> tuple[Check, ...]:
        """What is wrong with it."""
        return tuple(check for check in self.checks if check.outcome == "failed")


def validate(path: Path) -> Validation:
    """Check a result file against the schema, against itself and against the arrays beside it.

    Raises:
        UserError: if it cannot be read at all, naming it. What is wrong inside is a failed check.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    result, schema, first = _fit(content)
    checks = [first]
    if result is not None:
        try:
            checks += check_result(result)
        except ArithmeticError as error:
            checks.append(Check("sizes", "failed", f"no such numbers can be: {one_line(error)}"))
        beside = Path(path).with_name(ARRAYS)
        if "validation" not in result.data.counts or not beside.exists():
            checks.append(Check("arrays.h5 gives the same numbers", "skipped", "no file beside"))
        else:
            from memtk.results.recount import recount  # numpy, which results do without

            checks.append(recount(beside, result))
    return Validation(Path(path), tuple(checks), result, schema, digest)


def _fit(content: bytes) -> tuple[Result | None, int, Check]:
    name = "fits the schema"
    try:
        tree = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return None, 0, Check(name, "failed", f"it is no JSON: {str(error)[:200]}")
    version = tree.get("schema_version") if isinstance(tree, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        return None, 0, Check(name, "failed", "it has no schema_version: it is no result of memtk")
    if version > SCHEMA:
        newer = f"it has schema {version}; this memtk reads schema {SCHEMA}: update memtk"
        return None, version, Check(name, "failed", newer)
    try:
        result = Result.model_validate_json(json.dumps(migrate(tree)))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:4]]
        return None, version, Check(name, "failed", "; ".join(found))
    old = f"version {version}" + (f", read as {SCHEMA}" if version < SCHEMA else "")
    return result, version, Check(name, "ok", old)


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
    found = sorted(path.rglob(FILE))
    if not found:
        raise UserError(
            f"{path} holds no {FILE}: `memtk bench` leaves one a cell in its run folder, and "
            "`memtk results add RUN DIR` collects them"
        )
    return found
