"""Two settings of a study compared, seed by seed, with what few seeds and few patients allow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Literal

from scipy.special import stdtrit

from memtk.results.measures import measures_of
from memtk.results.protocols import MeasureRecord
from memtk.results.schema import Checkpoint, Result
from memtk.results.seeds import SeedInterval, Setting, seed_interval

MOST_SEEDS = 30
"""Of a setting; with more of them, trainings say nothing new about few patients."""


@dataclass(frozen=True)
class PairedDifference:
    """By how much one setting, or one step of training, differs from another in a measure.

    Args:
        difference: value of the one less that of the other, over the seeds that both have.
        interval: 95% of the mean difference, see `difference_interval`; None where nothing says
            how sure it is.
        means: of the one and of the other, over these seeds.
        seeds: with about how many the interval would leave out 0, if difference and spread stay;
            None where not even `MOST_SEEDS` would, as few patients or no difference leave it open.
    """

    difference: SeedInterval
    interval: tuple[float, float] | None
    means: tuple[float, float]
    seeds: int | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def paired_difference(
    setting: Setting, against: Setting, name: str, steps: tuple[int, int] | None = None
) -> PairedDifference | None:
    """Compare two settings at their last checkpoints; None where no seed has both.

    Paired by seed: one seed has the same images and copy detector in both, so that what differs is
    the setting and the generator's own randomness. Of measures whose null depends on the sizes, as
    that of the reference rule does, a difference says nothing where the sizes differ.

    Args:
        steps: of the checkpoints of the one and of the other, in place of the last ones.
    """
    first, second = steps or (None, None)
    ours, theirs = _records(setting, name, first), _records(against, name, second)
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    values = [(one.value or 0.0, other.value or 0.0) for one, other in pairs]
    found = seed_interval([one - other for one, other in values])
    if found is None:
        return None
    sides = [one for one, _ in pairs], [other for _, other in pairs]
    one, other = (math.fsum(side) / len(pairs) for side in zip(*values, strict=True))
    return PairedDifference(
        found, difference_interval(*sides), (one, other), _seeds_that_tell(found, *sides)
    )


def _seeds_that_tell(
    difference: SeedInterval, ours: Sequence[MeasureRecord], theirs: Sequence[MeasureRecord]
) -> int | None:
    down, up = _reaches(ours, theirs)
    side = down if difference.mean > 0 else up
    if difference.interval is None or abs(difference.mean) <= side:
        return None
    spread = stdev(difference.values)
    for count in range(difference.seeds + 1, MOST_SEEDS + 1):
        reach = float(stdtrit(count - 1, 0.975)) * spread / math.sqrt(count)
        if math.hypot(side, reach) < abs(difference.mean):
            return count
    return None


def difference_interval(
    ours: Sequence[MeasureRecord], theirs: Sequence[MeasureRecord]
) -> tuple[float, float] | None:
    """Return the 95% interval of the mean of `ours - theirs`, paired; None where none is known.

    Two doubts are joined: that of each number by its own interval, as few patients and images
    leave it, by the method of variance estimates recovery (MOVER; Zou and Donner, Stat. Med. 2008;
    Newcombe's hybrid of intervals, Stat. Med. 1998),

        low = d - sqrt((p1 - l1)^2 + (u2 - p2)^2 + r^2),
        high = d + sqrt((u1 - p1)^2 + (p2 - l2)^2 + r^2),

    with p, l, u the means over the seeds of a number and of its ends; and that of the training, by
    Student's half-width r over the seeds, 0 of a single one. The seeds have the same patients, so
    the first does not shrink with their number; that both sides share them makes it wide rather
    than narrow. Two zeros have the interval that their own ends leave. Shares differ by 1 at the
    most, and so do the ends.
    """
    differences = seed_interval(
        [(a.value or 0.0) - (b.value or 0.0) for a, b in zip(ours, theirs, strict=True)]
    )
    if differences is None:
        return None
    down, up = _reaches(ours, theirs)
    reach = 0.0
    if differences.interval is not None:
        reach = (differences.interval[1] - differences.interval[0]) / 2
    if not down and not up and not reach:
        return None
    low = differences.mean - math.hypot(down, reach)
    high = differences.mean + math.hypot(up, reach)
    if all(record.of is not None for record in (*ours, *theirs)):
        low, high = max(-1.0, low), min(1.0, high)
    return low, high


def _reaches(ours: Sequence[MeasureRecord], theirs: Sequence[MeasureRecord]) -> tuple[float, float]:
    """Return how far patients and images alone let the mean difference be lower, and higher."""
    if not all(record.interval for record in (*ours, *theirs)):
        return 0.0, 0.0
    (p1, l1, u1), (p2, l2, u2) = _mean_ends(ours), _mean_ends(theirs)
    return math.hypot(p1 - l1, u2 - p2), math.hypot(u1 - p1, p2 - l2)


def _mean_ends(records: Sequence[MeasureRecord]) -> tuple[float, float, float]:
    """Return the means of value, lower and upper end."""
    count = len(records)
    ends = [record.interval or (0.0, 0.0) for record in records]
    return (
        math.fsum(record.value or 0.0 for record in records) / count,
        math.fsum(low for low, _ in ends) / count,
        math.fsum(high for _, high in ends) / count,
    )


def _records(setting: Setting, name: str, step: int | None) -> Mapping[int, MeasureRecord]:
    return {
        result.seed: each.record
        for result, checkpoint in setting.at(step)
        for each in measures_of(result, checkpoint, name)
        if each.record.value is not None
    }


TOLERANCE = 0.01
"""What other processors and versions may change."""

Numbers = dict[str, tuple[float | None, float]]
"""By name, a number and the scale that its differences are measured on."""


@dataclass(frozen=True)
class Line:
    """A number of the file beside that of the repetition.

    Args:
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
