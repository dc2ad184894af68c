"""Do two results of the same cell agree, number by number?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from memtk.results.measures import measures_of
from memtk.results.schema import Checkpoint, Result

TOLERANCE = 0.01
"""What other processors and versions may change."""

Numbers = dict[str, tuple[float | None, float]]
"""By name, a number and the scale that its differences are measured on."""


@dataclass(frozen=True)
class Line:
    """A number of the file beside that of the repetition.

    Args:
        name: what it is.
        stored: in the file; None where it has none.
        repeated: likewise.
        outcome: "equal", "close" (within the tolerance) or "differs".
    """

    name: str
    stored: float | None
    repeated: float | None
    outcome: Literal["equal", "close", "differs"]


def compare(stored: Result, repeated: Result, tolerance: float = TOLERANCE) -> list[Line]:
    """Return every number of two results side by side.

    Shares and similarities may differ by the tolerance itself, counts by that share of the images
    they count, all other numbers by that share of their own size.
    """
    one, two = _numbers(stored), _numbers(repeated)
    lines = []
    for name in {**one, **two}:
        a, scale = one.get(name, (None, 1.0))
        b, _ = two.get(name, (None, 1.0))
        if a == b:
            outcome: Literal["equal", "close", "differs"] = "equal"
        elif a is None or b is None or abs(a - b) > tolerance * scale:
            outcome = "differs"
        else:
            outcome = "close"
        lines.append(Line(name, a, b, outcome))
    return lines


def _numbers(result: Result) -> Numbers:
    found: Numbers = {"training images used": (result.used_training.images, 1.0)}
    for checkpoint in result.evaluated:
        for name, value in _of_checkpoint(result, checkpoint):
            found[f"{checkpoint.label}: {name}"] = value
    for name, attack in sorted(result.membership.items()):
        found[f"attack {name}, auc"] = attack.auc.estimate if attack.auc else None, 1.0
        if attack.epsilon:
            found[f"attack {name}, epsilon"] = attack.epsilon.low, attack.epsilon.largest
    if result.reconstruction:
        for name, psnr in result.reconstruction.model_dump().items():
            found[f"autoencoder {name}"] = psnr, abs(psnr)
    if result.selftest:
        for name, rate in result.selftest.sensitivity:
            if rate is not None:
                found[f"self-test {name} found"] = rate.count, float(rate.n)
    return found


def _of_checkpoint(
    result: Result, checkpoint: Checkpoint
) -> Iterator[tuple[str, tuple[float | None, float]]]:
    found = checkpoint.evidence
    yield "synthetic images", (checkpoint.n_synthetic, 1.0)
    yield "copy rate, upper bound", (found.copy_rate_upper_bound, 1.0)
    for each in measures_of(result, checkpoint):
        record, name = each.record, each.name.replace(":", " ")
        scale = 1.0 if record.of else abs(record.value or 1.0)
        if record.count is None:
            yield name, (record.value, scale)
        else:
            yield name, (record.count, float(record.of or 1))
        if record.null is not None:
            yield f"null of {name}", (record.null, scale)
    if found.copy_rate:
        yield "copy_rate, low", (found.copy_rate.low, 1.0)
        yield "copy_rate, high", (found.copy_rate.high, 1.0)
    for name, value in sorted(checkpoint.quality.items()):
        yield f"quality {name}", (value, abs(value))
