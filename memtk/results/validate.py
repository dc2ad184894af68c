"""Is a file of results what it says it is, and do its numbers agree with each other?"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from memtk.errors import UserError, one_line
from memtk.results.migrations import SCHEMA, migrate
from memtk.results.redact import named
from memtk.results.schema import Checkpoint, Result
from memtk.results.store import has_arrays, read_arrays

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
            checks.append(Check(NAME, "skipped", "no file beside"))
        else:
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


CLOSE = 1e-9
"""Two computations of one fraction may differ by this much."""


@dataclass(frozen=True)
class Check:
    """One question that was put to a file.

    Args:
        name: what was asked.
        outcome: "ok", "failed", or "skipped" where there was nothing to ask.
        detail: what was looked at; of a failed one, everything that is wrong.
    """

    name: str
    outcome: Literal["ok", "failed", "skipped"]
    detail: str


def check_result(result: Result) -> list[Check]:
    """Return what is right and wrong with the numbers of a result, without its arrays.

    Sizes within sizes; counts within sizes; fractions equal to their counts; the nulls as their
    formulas give them; every interval around its estimate; the checkpoints in order and at one
    level; nothing that names a place or a patient.
    """
    n, v = result.used_training, result.data.counts.get("validation")
    m = result.last.n_synthetic
    sizes = f"N {n.images}, M {m}, V {v.images if v else 0}"
    if v is None or "training" not in result.data.counts:
        return [Check("sizes", "failed", "the data count no training or no validation images")]
    steps = ", ".join(str(c.step) for c in result.checkpoints)
    suspects = named(result.model_dump(mode="json", exclude={"training", "timing"}))
    return [
        check("sizes", sizes, _sizes(result)),
        check("counts within the sizes", sizes, _of_all(result, _counts)),
        check("fractions equal their counts", "dar, dar-matched, conformal", _of_all(result, _fr)),
        check("nulls by their formulas", "1 - 0.95^(M/V); k / (P + 1)", _of_all(result, _nulls)),
        check("estimates within intervals", "every interval in the file", _intervals(result)),
        check("checkpoints", f"steps {steps}", _checkpoints(result)),
        check("names no path and no patient", "every text", (_told(s) for s in suspects)),
    ]


def check(name: str, looked_at: str, problems: Iterable[str]) -> Check:
    """Return a check that failed if there are problems."""
    found = "; ".join(problems)
    return Check(name, "failed" if found else "ok", found or looked_at)


def _told(suspect: Any) -> str:
    return f"{suspect.where} names {suspect.what}: {suspect.text!r}"


def _sizes(result: Result) -> Iterator[str]:
    seen, given = result.used_training, result.data.counts["training"]
    for what, used, there in (
        ("images", seen.images, given.images),
        ("patients", seen.patients, given.patients),
    ):
        if used > there:
            yield f"{used} training {what} were used of {there}"
    for name, size in [("training, used", seen), *result.data.counts.items()]:
        if size.patients > size.images:
            yield f"{name}: {size.patients} patients of {size.images} images"
        if name != "held_out" and not size.images:
            yield f"{name}: no image"
    if len(result.data.spec.shape) not in (2, 3) or min(result.data.spec.shape, default=0) < 1:
        yield f"images of the shape {result.data.spec.shape}"


def _of_all(result: Result, problems: Any) -> Iterator[str]:
    for checkpoint in result.judged:
        for problem in problems(result, checkpoint):
            yield f"{checkpoint.label}: {problem}"


def _counts(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    dar, found = checkpoint.protocols.dar, checkpoint.protocols.conformal
    n, m, v = _nmv(result, checkpoint)
    patients = result.used_training.patients
    for name, count, size in (
        ("dar n_mem", dar.n_mem, n),
        ("dar n_copies", dar.n_copies, m),
        ("validation images called copies", dar.validation_called_copies, v),
        ("dar-matched n_mem", checkpoint.protocols.dar_matched.n_mem, n + CLOSE),
        ("conformal n_copies", found.n_copies, m),
        ("conformal n_mem", found.n_mem, n),
        ("exposed patients", found.patients_exposed, patients),
        ("patients with flagged images", found.patients_with_flagged_images, patients),
    ):
        if count is not None and count > size:
            yield f"{name} is {count:g} of {size:g}"
    flagged, whose = found.n_mem, found.patients_with_flagged_images
    if flagged is not None and whose is not None and not (flagged > 0) <= (whose > 0) <= flagged:
        yield f"{flagged} flagged training images of {whose} patients"


def _fr(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    dar, matched = checkpoint.protocols.dar, checkpoint.protocols.dar_matched
    found = checkpoint.protocols.conformal
    n, m, _ = _nmv(result, checkpoint)
    for name, fraction, count, size in (
        ("dar mem_fraction", dar.mem_fraction, dar.n_mem, n),
        ("dar copy_fraction", dar.copy_fraction, dar.n_copies, m),
        ("dar-matched mem_fraction", matched.mem_fraction, matched.n_mem, n),
    ):
        if (fraction is None) != (count is None):
            yield f"{name} without its count, or the other way round"
        elif fraction is not None and count is not None and _apart(fraction, count / size):
            yield f"{name} is {fraction:g}, but {count:g} of {size} are {count / size:g}"
    for name, fraction, size in (
        ("copies_flagged_fraction", found.copies_flagged_fraction, m),
        ("exposed_flagged_fraction", found.exposed_flagged_fraction, n),
    ):
        if fraction is not None and abs(fraction * size - round(fraction * size)) > CLOSE * size:
            yield f"{name} is {fraction:g}: no whole number of {size}"


def _nulls(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    dar, found = checkpoint.protocols.dar, checkpoint.protocols.conformal
    _, m, v = _nmv(result, checkpoint)
    patients = result.data.counts["validation"].patients
    null = 1 - 0.95 ** (m / v)
    if _apart(dar.expected_mem_fraction, null):
        yield f"dar expects {dar.expected_mem_fraction:g}, its formula gives {null:g}"
    if _apart(found.finest_p, 1 / (patients + 1)):
        yield f"finest_p is {found.finest_p:g} with {patients} validation patients"
    by_chance = math.floor(found.alpha * (patients + 1) * (1 + 1e-12)) / (patients + 1)
    for name, expected in (
        ("copies_expected_fraction", found.copies_expected_fraction),
        ("exposed_expected_fraction", found.exposed_expected_fraction),
    ):
        if expected is not None and _apart(expected, by_chance):
            yield f"{name} is {expected:g}, its formula gives {by_chance:g}"
    able = math.ceil(m * found.finest_p / found.fdr * (1 - 1e-12)) <= m
    if able != found.can_reject:
        yield f"can_reject is {found.can_reject}, its formula gives {able}"
    if found.n_copies and not able:
        yield f"{found.n_copies} copies are flagged, where none can be"


def _intervals(result: Result) -> Iterator[str]:
    tree = result.model_dump(mode="json", exclude={"training"})
    for where, table in _tables(tree, ()):
        low, high, middle = table["low"], table["high"], table.get("estimate", table.get("rate"))
        if not all(isinstance(x, int | float) for x in (low, high, middle)):
            continue
        if not low - CLOSE <= middle <= high + CLOSE:
            yield f"{where}: {middle:g} does not lie between {low:g} and {high:g}"
        count, n = table.get("count"), table.get("n")
        if count is not None and n and _apart(middle, count / n):
            yield f"{where}: {middle:g} is not {count} of {n}"
    for checkpoint in result.judged:
        found = checkpoint.protocols.conformal
        rate, bound = found.copy_rate, found.copy_rate_upper_bound
        if rate is not None and bound is not None and bound < rate.estimate - CLOSE:
            yield f"{checkpoint.label}: the upper bound lies below the copy rate"
        if rate is not None and found.confidence is None:
            yield f"{checkpoint.label}: an interval without its confidence"


def _tables(tree: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        if "low" in tree and "high" in tree:
            yield ".".join(keys), tree
        for key, value in tree.items():
            yield from _tables(value, (*keys, str(key)))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _tables(value, (*keys, str(number)))


def _checkpoints(result: Result) -> Iterator[str]:
    steps = [c.step for c in result.checkpoints]
    if steps != sorted(set(steps)):
        yield f"the steps do not ascend: {steps}"
    levels = {(c.protocols.conformal.alpha, c.protocols.conformal.fdr) for c in result.judged}
    if len(levels) > 1:
        yield f"several levels alpha and fdr: {sorted(levels)}"
    bench = (result.asked or {}).get("bench", {})
    asked = bench.get("alpha"), bench.get("fdr")
    if None not in asked and levels != {asked}:
        yield f"alpha and fdr are {sorted(levels)}, and {asked} was asked for"
    if not result.complete:
        yield "checkpoints are missing: the run was not finished"


def _nmv(result: Result, checkpoint: Checkpoint) -> tuple[int, int, int]:
    """Return the numbers of training, synthetic and validation images."""
    training = max(1, result.used_training.images)
    return training, checkpoint.n_synthetic, max(1, result.data.counts["validation"].images)


def _apart(one: float, other: float) -> bool:
    return abs(one - other) > CLOSE


NAME = "arrays.h5 gives the same numbers"

_DAMAGED = (OSError, RuntimeError, MemoryError, KeyError, ValueError, TypeError, IndexError)
"""What a file of another make may raise."""


def recount(path: Path, result: Result) -> Check:
    """Return whether the arrays give the numbers of a result.

    From the nearest similarities of each image: tau, n_mem, n_copies and the validation images
    called copies; from the counts above tau the number at equal sizes; from the p-values what is
    flagged at the false discovery rate and at alpha, on both sides.

    Args:
        path: `arrays.h5`; checkpoints that it does not hold are left out.
        result: the file beside it.
    """
    try:
        held = [c for c in result.judged if has_arrays(path, c.label)]
        if not held:
            return Check(NAME, "failed", "it holds the arrays of no checkpoint")
        problems = [
            f"{c.label}: {problem}"
            for c in held
            for problem in _problems(result, c, read_arrays(path, c.label))
        ]
    except (UserError, *_DAMAGED) as error:
        return Check(NAME, "failed", f"it cannot be read: {one_line(error)[:200]}")
    return check(NAME, f"{len(held)} of {len(result.judged)} checkpoints", problems)


def _problems(
    result: Result, checkpoint: Checkpoint, arrays: Mapping[str, np.ndarray]
) -> Iterator[str]:
    dar, matched = checkpoint.protocols.dar, checkpoint.protocols.dar_matched
    found = checkpoint.protocols.conformal
    n, m = result.used_training.images, checkpoint.n_synthetic
    v = result.data.counts["validation"].images
    for name, size in (("train_synthetic", n), ("synthetic_train", m), ("validation_train", v)):
        if arrays[name].shape != (size,):
            yield f"{name} has the shape {arrays[name].shape}, and {size} images were compared"
            return
    limit = float(np.percentile(1 - arrays["train_validation"], 5))
    yield from _differs("dar tau", dar.tau, 1 - limit)
    for name, said, similarity in (
        ("dar n_mem", dar.n_mem, arrays["train_synthetic"]),
        ("dar n_copies", dar.n_copies, arrays["synthetic_train"]),
        ("validation called copies", dar.validation_called_copies, arrays["validation_train"]),
    ):
        yield from _differs(name, said, int((1 - similarity < limit).sum()))
    if matched.n_mem is not None:
        missed = [_missing(int(c), m, v) for c in arrays["train_synthetic_above"]]
        yield from _differs("dar-matched n_mem", matched.n_mem, math.fsum(1 - x for x in missed))
    p = arrays["copies_p"]
    yield from _differs("conformal n_copies", found.n_copies, _flagged(p, found.fdr))
    yield from _differs(
        "copies_flagged_fraction", found.copies_flagged_fraction, float(np.mean(p <= found.alpha))
    )
    if found.n_mem is not None and found.exposed_flagged_fraction is not None:
        p = arrays["exposure_p"]
        yield from _differs("conformal n_mem", found.n_mem, _flagged(p, found.fdr))
        share = float(np.mean(p <= found.alpha))
        yield from _differs("exposed_flagged_fraction", found.exposed_flagged_fraction, share)
    if result.data.counts["validation"].patients == v:
        nearer = np.searchsorted(np.sort(arrays["validation_train"]), arrays["synthetic_train"])
        again = (1 + v - nearer) / (v + 1)  # (M,)
        if np.abs(again - arrays["copies_p"]).max() > CLOSE:
            yield "copies_p does not follow from the similarities"


def _missing(above: int, synthetic: int, drawn: int) -> float:
    """Return the chance that none of `above` images is among `drawn` of `synthetic`."""
    return math.comb(synthetic - above, drawn) / math.comb(synthetic, drawn)


def _flagged(p: np.ndarray, fdr: float) -> int:
    """Return how many Benjamini and Hochberg flag: the most k with k p-values up to k fdr / T."""
    ranked = np.sort(p)
    limits = np.arange(1, len(p) + 1) * fdr / len(p) * (1 + 1e-12)
    passed = np.flatnonzero(ranked <= limits)
    return int((p <= ranked[passed[-1]]).sum()) if len(passed) else 0


def _differs(name: str, said: float, counted: float) -> Iterator[str]:
    if abs(said - counted) > 1e-6:
        yield f"{name} is {said:g}, the arrays give {counted:g}"
