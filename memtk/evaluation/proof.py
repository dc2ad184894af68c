"""Whether what the verdict of a stored result rests on follows from the arrays beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from memtk.config import flat
from memtk.errors import UserError, one_line
from memtk.evaluation.recompute import NO_NUMBERS, evidence_again, selftest_again
from memtk.intervals import Share
from memtk.memorization import IDENTICAL
from memtk.results import Evidence, RateInterval, Result, array_groups, has_arrays, read_arrays
from memtk.results.migrations import SCHEMA
from memtk.results.selftest import CLOSE
from memtk.results.validate import ARRAYS, Check, Validation, validate

AGAIN = "run it again with this memtk"

TAKEN: dict[str, Any] = {"comparable": {"likeness", "population"}, "notes": True}
"""What of the evidence does not follow from the arrays: it is of the images, or a text."""

_UNITS = ("copies", "training images", "patients")
LATER = (
    {f"{units}, {name}" for units in _UNITS for name in ("may miss", "never")},
    {f"{units}, {name}" for units in _UNITS for name in ("margin model", "margin check")},
    {"exposed, sensitivity", "exposed, false positive rate"},
)
"""Numbers that files of this schema got later, together: older ones state none of a set."""


@dataclass(frozen=True)
class Proof:
    """What the arrays of the last checkpoint of a result prove.

    Args:
        rate: the copy rate that they give; None where nothing is proven.
        unproven: why not; empty where they give every number of the file.
        searched: a hash of the components and the similarities.
    """

    rate: RateInterval | None = None
    unproven: str = ""
    searched: str = ""


def prove(result: Result, schema: int, path: Path) -> Proof:
    """Compute again what the verdict of a result rests on, and compare every number.

    Args:
        schema: the version that the file was written with.
        path: of the file, beside which its arrays may lie.

    Raises:
        UserError: if the file states other numbers than its arrays give.
    """
    path, label = path.with_name(ARRAYS), result.last.label
    if not path.is_file() or not has_arrays(path, label):
        return Proof(unproven="its arrays are not beside it")
    if schema < SCHEMA or result.last.evidence.copies is None:
        return Proof(unproven=f"its numbers are by formulas of an older memtk, {AGAIN}")
    arrays = read_arrays(path, label)
    _untold(result, arrays, array_groups(path))
    if missing := _whose(result, arrays):
        return Proof(unproven=f"its arrays do not say {missing}, {AGAIN}")
    try:
        again = evidence_again(result, arrays)
        found = selftest_again(result, arrays)
    except NO_NUMBERS as error:
        raise UserError(f"its arrays give no numbers: {one_line(error)[:200]}") from error
    if wrong := list(_differences(result, arrays, again, found)):
        raise UserError(f"it does not follow from its arrays: {'; '.join(wrong[:5])}")
    lacks = not _planted(result) <= arrays.keys()
    unproven = f"its arrays do not hold the planted copies, {AGAIN}" if lacks else ""
    used = result.components.model_dump_json(exclude={"protocols"}).encode()
    drawn = arrays.get("planted", arrays["synthetic_train"])  # of two seeds of a copycat all is 1
    searched = hashlib.sha256(used + arrays["synthetic_train"].tobytes() + drawn.tobytes())
    return Proof(again.copy_rate, unproven, searched.hexdigest())


def validate_and_prove(path: Path) -> Validation:
    """Check a result file, and by `prove` if it passes all other checks.

    Raises:
        UserError: if it cannot be read at all.
    """
    said = validate(path)
    if said.failed or said.result is None:
        return said
    name = f"{ARRAYS} gives the verdict"
    try:
        found = prove(said.result, said.schema, said.path)
        looked_at = found.unproven or f"{said.result.last.label}, every number"
        check = Check(name, "skipped" if found.unproven else "ok", looked_at)
    except UserError as error:
        check = Check(name, "failed", str(error))
    return replace(said, checks=(*said.checks, check))


def _untold(result: Result, arrays: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
    """Refuse a file that keeps quiet about what its arrays hold.

    Raises:
        UserError: if they hold another checkpoint, or planted copies of no self-test.
    """
    told = {each.label for each in result.evaluated}
    for group in groups:
        if group.startswith(("step-", "chosen")) and group not in told:
            raise UserError(f"its arrays hold {group[:40]}, of which it says nothing")
    found = result.selftest and result.selftest.sensitivity
    for name, said in (("planted", found), ("exposure_planted", found and found.exposure)):
        if name in arrays and not said:
            raise UserError("its arrays hold planted copies, of which it says nothing")


def _whose(result: Result, arrays: Mapping[str, np.ndarray]) -> str:
    """Return of which images the arrays do not say whose they are; nothing if of none."""
    counts = {"training": result.used_training, "validation": result.data.counts["validation"]}
    for name, size in counts.items():
        whose = arrays.get(f"{name}_patient")
        known = size.images if whose is None else len(set(whose.ravel().tolist()))
        if known != size.patients:
            return f"whose the {name} images are"
    return ""


def _planted(result: Result) -> set[str]:
    """Return the arrays that a self-test leaves behind; none without one."""
    if result.selftest is None:
        return set()
    return {"planted"} | ({"exposure_planted"} if result.selftest.sensitivity.exposure else set())


def _differences(
    result: Result,
    arrays: Mapping[str, np.ndarray],
    again: Evidence,
    found: Mapping[str, Share],
) -> Iterator[str]:
    """Say which numbers of a file are not those of its arrays.

    Args:
        again: what a verdict rests on, by the arrays.
        found: planted copies and strangers by rule, likewise.
    """
    stated, counted = _numbers(result.last.evidence), _numbers(again)
    if IDENTICAL in arrays:
        stated["identical images"] = result.last.identical_images
        counted["identical images"] = int(arrays[IDENTICAL].sum())
    if result.selftest is not None:
        sides = {
            "planted copies": result.selftest.sensitivity.model_dump(),
            "strangers": result.selftest.specificity.model_dump(),
        }
        for name, share in found.items():
            side, rule = name.split(", ")
            counted |= {f"{name}, {key}": value for key, value in asdict(share).items()}
            stated |= {f"{name}, {key}": value for key, value in (sides[side][rule] or {}).items()}
    older = {n for names in LATER if all(stated.get(n) is None for n in names) for n in names}
    for name in sorted(stated.keys() | counted.keys()):
        said, right = stated.get(name), counted.get(name)
        if said is None and name in older:
            continue
        if isinstance(said, float) and isinstance(right, float):
            same = abs(said - right) <= CLOSE
        else:
            same = said == right
        if not same:
            yield f"{name}: {_shown(said)} in the file, {_shown(right)} by the arrays"


def _numbers(evidence: Evidence) -> dict[str, Any]:
    """Return the numbers of it by name, "copies, at least", but for those of `TAKEN`."""
    tree = flat(evidence.model_dump(exclude=TAKEN))
    return {key.replace(".", ", ").replace("_", " "): value for key, value in tree}


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value}"
