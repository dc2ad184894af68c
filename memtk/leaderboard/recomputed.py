"""What a rank rests on, computed again from the arrays beside a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from memtk.errors import UserError, one_line
from memtk.leaderboard.collection import Collection, Refused, Run
from memtk.results import Evidence, Result, has_arrays, read_arrays
from memtk.results.migrations import SCHEMA
from memtk.results.validate import ARRAYS

if TYPE_CHECKING:
    import numpy as np

CLOSE = 0.05
"""By how much a rate of a file may differ from the one of its arrays: other formulas of an older
memtk, and other draws of an interval."""


def recomputed(collection: Collection) -> Collection:
    """Return the results with the copy rate that their arrays give, in place of the one they state.

    The arrays of the last checkpoint must lie beside the file and say whose the images are. A
    result without them has no rank. One whose numbers do not follow from its arrays is refused.
    What was planted, and that the arrays are those of a search, is taken on trust.
    """
    runs, refused = [], list(collection.refused)
    for run in collection.runs:
        try:
            runs.append(_recomputed(run))
        except UserError as error:
            refused.append(Refused(run.name, str(error)))
    return Collection(tuple(runs), tuple(sorted(refused, key=lambda each: each.name)))


def _recomputed(run: Run) -> Run:
    """Return a run with its recomputed copy rate, or with why it has none.

    Raises:
        UserError: if the file states other numbers.
    """
    path, label = run.path.with_name(ARRAYS), run.result.last.label
    if not path.is_file() or not has_arrays(path, label):
        return replace(run, unproven="its arrays are not beside it")
    arrays = read_arrays(path, label)
    if missing := _missing(run.result, arrays):
        return replace(run, unproven=f"its arrays do not say {missing}")
    from memtk.evaluation.recompute import evidence_again, sensitivity_again  # torch: seconds

    try:
        again = evidence_again(run.result, arrays)
        noticed = sensitivity_again(run.result, arrays)
    except (UserError, ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as error:
        raise UserError(f"its arrays give no numbers: {one_line(error)[:200]}") from error
    if wrong := "; ".join(_differences(run, again, noticed)):
        raise UserError(f"it does not follow from its arrays: {wrong}")
    return replace(run, rate=again.copy_rate, unproven="")


def _missing(result: Result, arrays: Mapping[str, np.ndarray]) -> str:
    """Return what a copy rate takes and the arrays do not hold; nothing if they hold it all."""
    counts = {"training": result.used_training, "validation": result.data.counts["validation"]}
    for name, size in counts.items():
        whose = arrays.get(f"{name}_patient")
        known = size.images if whose is None else len(set(whose.ravel().tolist()))
        if known != size.patients:
            return f"whose the {name} images are"
    return ""


def _differences(run: Run, again: Evidence, noticed: int | None) -> Iterator[str]:
    """Say which numbers of a file are not those of its arrays.

    Files of older versions were written by other formulas: of them the copy rate alone is held
    against the arrays.
    """
    found = run.result.last.evidence
    if (found.copy_rate is None) != (again.copy_rate is None):
        yield "the copy rate is there and not there"
    for end in ("estimate", "low", "high"):
        said, counted = (getattr(each.copy_rate, end, 0.0) for each in (found, again))
        if abs(said - counted) > CLOSE:
            yield f"copy rate, {end}: {said:.3f} in the file, {counted:.3f} by the arrays"
    if run.schema < SCHEMA or found.copies is None:
        return
    selftest = run.result.selftest
    for name, stated, count in (
        ("copies", found.n_copies, again.n_copies),
        ("training images", found.n_mem, again.n_mem),
        ("exposed patients", found.patients_exposed, again.patients_exposed),
        ("planted copies", selftest and selftest.sensitivity.conformal.count, noticed),
    ):
        if stated is not None and count is not None and stated != count:
            yield f"{name}: {stated} in the file, {count} by the arrays"
