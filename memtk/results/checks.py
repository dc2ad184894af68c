"""Do the numbers of a result agree with each other? What a reader can recompute, is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from memtk.results.redact import named
from memtk.results.schema import Checkpoint, Result

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
