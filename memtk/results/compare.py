"""Do two results of the same cell agree, number by number?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

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
    for checkpoint in result.judged:
        for name, value in _of_checkpoint(result, checkpoint):
            found[f"{checkpoint.label}: {name}"] = value
    for name, attack in sorted(result.membership.items()):
        found[f"attack {name}, auc"] = attack.auc.estimate if attack.auc else None, 1.0
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
    n, m = float(result.used_training.images), float(checkpoint.n_synthetic)
    v = result.data.counts["validation"]
    dar, test = checkpoint.protocols.dar, checkpoint.protocols.conformal
    rate = test.copy_rate
    yield "synthetic images", (m, 1.0)
    yield "dar tau", (dar.tau, 1.0)
    yield "dar n_mem", (dar.n_mem, n)
    yield "dar n_copies", (dar.n_copies, m)
    yield "dar null", (dar.expected_mem_fraction, 1.0)
    yield "dar validation called copies", (dar.validation_called_copies, float(v.images))
    yield "dar-matched n_mem", (checkpoint.protocols.dar_matched.n_mem, n)
    yield "conformal copies, p <= alpha", (test.copies_flagged_fraction, 1.0)
    yield "conformal n_copies", (test.n_copies, m)
    yield "conformal exposed, p <= alpha", (test.exposed_flagged_fraction, 1.0)
    yield "conformal n_mem", (test.n_mem, n)
    yield "patients exposed", (test.patients_exposed, float(result.used_training.patients))
    yield "copy rate", (rate.estimate if rate else None, 1.0)
    yield "copy rate, low", (rate.low if rate else None, 1.0)
    yield "copy rate, high", (rate.high if rate else None, 1.0)
    yield "copy rate, upper bound", (test.copy_rate_upper_bound, 1.0)
    for name, value in sorted(checkpoint.quality.items()):
        yield f"quality {name}", (value, abs(value))
