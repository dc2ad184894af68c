"""Is a file of results what it says it is, and do its numbers agree with each other?"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from memtk.errors import UserError, many, one_line
from memtk.files import read_plain
from memtk.results.migrations import SCHEMA, migrate
from memtk.results.protocols import MeasureRecord
from memtk.results.redact import named
from memtk.results.schema import Checkpoint, Result
from memtk.results.store import has_arrays, odd_texts, parse, read_arrays

FILE, ARRAYS = "result.json", "arrays.h5"
"""The names that results are found by."""


@dataclass(frozen=True)
class Validation:
    """What came of looking at a file.

    Args:
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
        content = read_plain(Path(path))
    except FileNotFoundError as error:
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
        there = beside.exists()
        checks += [recount(beside, result) if there else Check(NAME, "skipped", "no file beside")]
    return Validation(Path(path), tuple(checks), result, schema, digest)


def _fit(content: bytes) -> tuple[Result | None, int, Check]:
    name = "fits the schema"
    try:
        tree = parse(content)
    except ValueError as error:
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
        places = [ascii(".".join(map(str, e["loc"])))[1:-1][:200] for e in error.errors()[:4]]
        said = [e["msg"] for e in error.errors()[:4]]
        found = [f"{where}: {what}" for where, what in zip(places, said, strict=True)]
        return None, version, Check(name, "failed", "; ".join(found))
    old = f"version {version}" + (f", read as {SCHEMA}" if version < SCHEMA else "")
    return result, version, Check(name, "ok", old)


CLOSE = 1e-9
"""Two computations of one fraction may differ by this much."""


@dataclass(frozen=True)
class Check:
    """One question that was put to a file.

    Args:
        outcome: "ok", "failed", or "skipped" where there was nothing to ask.
        detail: what was looked at; of a failed one, everything that is wrong.
    """

    name: str
    outcome: Literal["ok", "failed", "skipped"]
    detail: str


def check_result(result: Result) -> list[Check]:
    """Return what is right and wrong with the numbers of a result, without its arrays.

    Sizes within sizes; counts within sizes; shares equal to their counts; the evidence equal to the
    tables of the protocols, and to its formulas; every interval around its estimate; the
    checkpoints in order and at one level; nothing that names a place or a patient.
    """
    n, v = result.used_training, result.data.counts["validation"]
    m = result.last.n_synthetic
    sizes = f"N {n.images}, M {m}, V {v.images}"
    steps = ", ".join(str(c.step) for c in result.checkpoints)
    tables = ", ".join(result.last.protocols) or "no protocol"
    tree = result.model_dump(mode="json")
    suspects = named({k: v for k, v in tree.items() if k not in ("training", "timing")})
    return [
        check("sizes", sizes, _sizes(result)),
        check("counts within the sizes", sizes, _of_all(result, _counts)),
        check("shares equal their counts", tables, _of_all(result, _shares)),
        check("the verdict rests on these numbers", tables, _of_all(result, _evidence)),
        check("nulls by their formulas", "1 - 0.95^(M/V); k / (P + 1)", _of_all(result, _nulls)),
        check("estimates within intervals", "every interval in the file", _intervals(result)),
        check("rates of the self-test by their counts", "Clopper-Pearson", _rates(result)),
        check("checkpoints", f"steps {steps}", _checkpoints(result)),
        check("names no path and no patient", "every text", (_told(s) for s in suspects)),
        check("texts, names and keys", "every one", islice(odd_texts(tree), 5)),
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
            yield f"{name}: {many(size.patients, 'patient')} of {many(size.images, 'image')}"
        if name != "held_out" and not size.images:
            yield f"{name}: no image"
    if len(result.data.spec.shape) not in (2, 3) or min(result.data.spec.shape, default=0) < 1:
        yield f"images of the shape {result.data.spec.shape}"


def _of_all(result: Result, problems: Any) -> Iterator[str]:
    for checkpoint in result.evaluated:
        for problem in problems(result, checkpoint):
            yield f"{checkpoint.label}: {problem}"


def _records(checkpoint: Checkpoint) -> Iterator[tuple[str, MeasureRecord]]:
    for protocol, table in checkpoint.protocols.items():
        for key, record in table.items():
            yield f"{protocol} {key}", record


def _counts(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    found, patients = checkpoint.evidence, result.used_training.patients
    n, m, _ = _nmv(result, checkpoint)
    yield from found.beyond(n, patients, m)
    if checkpoint.identical_images > m:
        yield f"identical images is {checkpoint.identical_images} of {m}"
    flagged, whose = found.n_mem, found.patients_with_flagged_images
    if flagged is not None and whose is not None and not (flagged > 0) <= (whose > 0) <= flagged:
        yield f"{many(flagged, 'flagged training image')} of {whose} patients"
    for name, units, size in (
        ("copies", found.copies, m),
        ("training images", found.training_images, n),
        ("patients", found.patients, patients),
        ("exposed", found.exposed, patients),
    ):
        if units is not None and units.of != size:
            yield f"{name} are of {units.of}, and there are {size}"
    validation = result.data.counts["validation"]
    sizes = {
        "training": {n, patients},
        "synthetic": {m},
        "validation": {validation.images, validation.patients},
    }
    for name, record in _records(checkpoint):
        if record.of is None:
            continue
        if record.of not in sizes.get(record.side, {record.of}):
            yield f"{name} counts of {record.of} {record.side} images"
        if record.count is not None and record.count > record.of + CLOSE:
            yield f"{name} is {record.count:g} of {record.of}"


def _shares(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    for name, record in _records(checkpoint):
        if not record.of:
            continue
        if (record.value is None) != (record.count is None) and record.count is not None:
            yield f"{name} has a count and no value"
        elif record.value is not None and record.count is not None:
            share = record.count / record.of
            if _apart(record.value, share):
                counted = f"{record.count:g} of {record.of}"
                yield f"{name} is {record.value:g}, but {counted} are {share:g}"


def _evidence(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    """Compare what memtk's own protocols say with what the verdict rests on."""
    found = checkpoint.evidence
    tau = checkpoint.measure("dar", "tau")
    if tau is not None and tau.value is not None and _apart(tau.value, found.tau):
        yield f"tau is {found.tau:g}, and {tau.value:g} in the table of dar"
    for protocol, key, said in (
        ("dar", "n_mem", found.reference_n_mem),
        ("conformal", "n_copies", found.n_copies),
        ("conformal", "n_mem", found.n_mem),
        ("conformal", "patients_exposed", found.patients_exposed),
    ):
        if protocol == "conformal" and found.copies is not None:
            continue  # the verdict rests on ranks in files of older versions alone
        record = checkpoint.measure(protocol, key)
        if record is not None and record.count != said:
            yield f"{key} is {said}, and {record.count} in the table of {protocol}"
    for what, units, suspect in (
        ("copies", found.copies, found.n_copies),
        ("training images", found.training_images, found.n_mem),
        ("patients", found.patients, found.patients_exposed),
    ):
        if units is not None and units.suspect != suspect:
            yield f"{units.suspect} {what} are suspect, and {suspect}"


def _nulls(result: Result, checkpoint: Checkpoint) -> Iterator[str]:
    found = checkpoint.evidence
    _, m, v = _nmv(result, checkpoint)
    patients = result.data.counts["validation"].patients
    null = 1 - 0.95 ** (m / v)
    if _apart(found.reference_null, null):
        yield f"reference_null is {found.reference_null:g}, its formula gives {null:g}"
    if _apart(found.min_p, 1 / (patients + 1)):
        yield f"min_p is {found.min_p:g} with {many(patients, 'validation patient')}"
    by_chance = math.floor(found.alpha * (patients + 1) * (1 + 1e-12)) / (patients + 1)
    for protocol, key, formula in (
        ("dar", "n_mem", null),
        ("conformal", "copies", by_chance),
        ("conformal", "exposed", by_chance),
    ):
        record = checkpoint.measure(protocol, key)
        if record is not None and record.null is not None and _apart(record.null, formula):
            yield f"{protocol} {key} expects {record.null:g}, its formula gives {formula:g}"
    able = math.ceil(m * found.min_p / found.fdr * (1 - 1e-12)) <= m
    able |= found.copies is not None and found.copies.model != "ranks"
    if able != found.can_reject:
        yield f"can_reject is {found.can_reject}, its formula gives {able}"
    if found.n_copies > checkpoint.identical_images and not able:
        yield f"{many(found.n_copies, 'copy', 'is/are')} flagged, where none can be"


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
    for checkpoint in result.evaluated:
        for name, record in _records(checkpoint):
            low, high = record.interval or (-math.inf, math.inf)
            if record.value is not None and not low - CLOSE <= record.value <= high + CLOSE:
                yield f"{checkpoint.label}: {name} does not lie between {low:g} and {high:g}"
        found = checkpoint.evidence
        rate, bound = found.copy_rate, found.copy_rate_upper_bound
        if rate is not None and bound is not None and bound < rate.estimate - CLOSE:
            yield f"{checkpoint.label}: the upper bound lies below the copy rate"
        if rate is not None and found.confidence is None:
            yield f"{checkpoint.label}: an interval without its confidence"


def _rates(result: Result) -> Iterable[str]:
    if result.selftest is None:
        return ()
    return result.selftest.problems({k: count.images for k, count in result.data.counts.items()})


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
    levels = {(c.evidence.alpha, c.evidence.fdr) for c in result.evaluated}
    if len(levels) > 1:
        yield f"several levels alpha and fdr: {sorted(levels)}"
    bench = (result.request or {}).get("bench", {})
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


def recount(path: Path, result: Result) -> Check:
    """Return whether the arrays give the numbers of a result; see `memtk.results.recount`.

    Args:
        path: `arrays.h5`; checkpoints that it does not hold are left out.
    """
    from memtk.results.recount import DAMAGED, differences  # numpy, which results do without

    try:
        held = [c for c in result.evaluated if has_arrays(path, c.label)]
        if not held:
            return Check(NAME, "failed", "it holds the arrays of no checkpoint")
        problems = [
            f"{c.label}: {problem}"
            for c in held
            for problem in differences(result, c, read_arrays(path, c.label))
        ]
    except (UserError, *DAMAGED) as error:
        return Check(NAME, "failed", f"it cannot be read: {one_line(error)[:200]}")
    return check(NAME, f"{len(held)} of {many(len(result.evaluated), 'checkpoint')}", problems)
