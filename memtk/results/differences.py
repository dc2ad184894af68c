"""Two settings of a study compared, seed by seed, with what few seeds and few patients allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtk.results.measures import measures_of
from memtk.results.protocols import MeasureRecord
from memtk.results.seeds import SeedInterval, Setting, seed_interval


@dataclass(frozen=True)
class PairedDifference:
    """By how much one setting, or one step of training, differs from another in a measure.

    Args:
        difference: value of the one less that of the other, over the seeds that both have.
        interval: 95 % of the mean difference, see `difference_interval`; None where nothing says
            how sure it is.
        means: of the one and of the other, over these seeds.
    """

    difference: SeedInterval
    interval: tuple[float, float] | None
    means: tuple[float, float]

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
        name: of the measure.
        steps: of the checkpoints of the one and of the other, in place of the last ones.
    """
    first, second = steps or (None, None)
    ours, theirs = _records(setting, name, first), _records(against, name, second)
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    values = [(one.value or 0.0, other.value or 0.0) for one, other in pairs]
    found = seed_interval([one - other for one, other in values])
    if found is None:
        return None
    ends = difference_interval([one for one, _ in pairs], [other for _, other in pairs])
    one, other = (math.fsum(side) / len(pairs) for side in zip(*values, strict=True))
    return PairedDifference(found, ends, (one, other))


def difference_interval(
    ours: Sequence[MeasureRecord], theirs: Sequence[MeasureRecord]
) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of `ours - theirs`, paired; None where none is known.

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
    down = up = 0.0
    if all(record.interval for record in (*ours, *theirs)):
        (p1, l1, u1), (p2, l2, u2) = _mean_ends(ours), _mean_ends(theirs)
        down, up = math.hypot(p1 - l1, u2 - p2), math.hypot(u1 - p1, p2 - l2)
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
