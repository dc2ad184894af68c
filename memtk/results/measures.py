"""The measures of a checkpoint, each with its null and interval, and beside quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memtk.intervals import of_rate
from memtk.results.protocols import RateInterval
from memtk.results.schema import Checkpoint, Result

MATCHED_NULL = 0.05
"""`dar-matched` of a generator that has memorized nothing."""


@dataclass(frozen=True)
class Value:
    """A measure of one checkpoint of one cell.

    Args:
        share: of the images, in [0, 1].
        count: of images; None for a measure that is a rate alone.
        null: the share of a generator that has memorized nothing; None where it is not known.
        low: of the interval of this cell alone, and `high`; None without one. That of the copy rate
            resamples patients. That of a count is Clopper and Pearson's for the validation images
            as they are, whose own chance is not in it.
    """

    share: float
    count: float | None = None
    null: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measure:
    """A measure by name.

    Args:
        key: for columns of a file.
        title: for a reader.
        side: "memorized" (training images) or "copies" (synthetic images).
        of: finds it in a checkpoint; None where it was not computed.
    """

    key: str
    title: str
    side: str
    of: Callable[[Result, Checkpoint], Value | None]


def _memorized(result: Result, checkpoint: Checkpoint) -> Value:
    dar = checkpoint.protocols.dar
    value = Value(dar.mem_fraction, dar.n_mem, dar.expected_mem_fraction)
    return _of_patients(value, result, checkpoint)


def _matched(result: Result, checkpoint: Checkpoint) -> Value | None:
    matched = checkpoint.protocols.dar_matched
    if matched.mem_fraction is None:
        return None
    value = Value(matched.mem_fraction, matched.n_mem, MATCHED_NULL)
    return _of_patients(value, result, checkpoint)


def _exposed(result: Result, checkpoint: Checkpoint) -> Value | None:
    test = checkpoint.protocols.conformal
    if test.n_mem is None or test.exposed_flagged_fraction is None:
        return None
    if test.finest_p > test.alpha:  # no p-value can be that small: what is flagged is all there is
        value = Value(test.n_mem / result.used_training.images, test.n_mem)
    else:
        value = Value(test.exposed_flagged_fraction, test.n_mem, test.exposed_expected_fraction)
    return _of_patients(value, result, checkpoint)


def _copies(result: Result, checkpoint: Checkpoint) -> Value:
    dar = checkpoint.protocols.dar
    validation = result.data.counts["validation"].images
    null = dar.validation_called_copies / validation if validation else None
    value = Value(dar.copy_fraction, dar.n_copies, null)
    return _bounded(value, checkpoint.n_synthetic, checkpoint)


def _copied(result: Result, checkpoint: Checkpoint) -> Value:
    test = checkpoint.protocols.conformal
    if test.finest_p > test.alpha:
        value = Value(test.n_copies / checkpoint.n_synthetic, test.n_copies)
    else:
        value = Value(test.copies_flagged_fraction, test.n_copies, test.copies_expected_fraction)
    return _bounded(value, checkpoint.n_synthetic, checkpoint)


def _rate(result: Result, checkpoint: Checkpoint) -> Value | None:
    rate = checkpoint.protocols.conformal.copy_rate
    if rate is None:
        return None
    return Value(rate.estimate, None, 0.0, rate.low, rate.high)


def _of_patients(value: Value, result: Result, checkpoint: Checkpoint) -> Value:
    """Bound a share of the training images. Images of one patient are not independent: each
    patient counts as one trial, which is wide where most images of a patient differ."""
    return _bounded(value, result.used_training.patients, checkpoint)


def _bounded(value: Value, trials: int, checkpoint: Checkpoint) -> Value:
    """Give a share its interval, as of so many independent trials."""
    if not trials:
        return value
    found = of_rate(value.share, trials, checkpoint.protocols.conformal.confidence or 0.95)
    return replace(value, low=found.low, high=found.high)


def others(result: Result, checkpoint: Checkpoint) -> dict[str, tuple[float, float | None]]:
    """Return what else is measured, by name: the number, and what it is compared with.

    Quality and diversity beside what real images score, and of what the verdict is about the area
    under the curve of each membership attack beside 0.5, which is chance.
    """
    found = {
        name: (value, checkpoint.measured[name].real if name in checkpoint.measured else None)
        for name, value in checkpoint.quality.items()
    }
    if checkpoint is result.last:
        found |= {
            f"{name}, AUC": (attack.auc.estimate, 0.5)
            for name, attack in result.membership.items()
            if attack.auc is not None
        }
    return found


MEASURES = (
    Measure("dar_mem", "reference rule", "memorized", _memorized),
    Measure("matched_mem", "at equal sizes", "memorized", _matched),
    Measure("conformal_mem", "conformal, p ≤ α", "memorized", _exposed),
    Measure("dar_copies", "reference rule", "copies", _copies),
    Measure("conformal_copies", "conformal, p ≤ α", "copies", _copied),
    Measure("copy_rate", "copy rate", "copies", _rate),
)
"""In the order in which they are shown."""


def measure(key: str) -> Measure:
    """Return a measure by its key."""
    return next(m for m in MEASURES if m.key == key)


@dataclass(frozen=True)
class Side:
    """One cell in the comparison.

    Args:
        cell: its name.
        result: its numbers; those of the checkpoint that the verdict is about count.
        quality: by measure; None where it has no number.
    """

    cell: str
    result: Result
    quality: dict[str, float | None]

    @property
    def copy_rate(self) -> RateInterval | None:
        """The copy rate in excess of chance, with its interval; None where it was not computed."""
        return self.result.last.protocols.conformal.copy_rate

    @property
    def exposed(self) -> float | None:
        """Share of the training images that are flagged as exposed; None where not tested."""
        count = self.result.last.protocols.conformal.n_mem
        return None if count is None else count / self.result.used_training.images


@dataclass(frozen=True)
class Tradeoff:
    """Cells side by side.

    Args:
        sides: one a cell, in their order.
        measures: names of the measures of quality that any cell has; of the first the picture is.
        better: by measure, "higher", "lower" or "real"; None where nothing says so.
        real: by measure, what real images score; None where there is no such line.
    """

    sides: tuple[Side, ...]
    measures: tuple[str, ...]
    better: dict[str, str | None]
    real: dict[str, float | None]


def tradeoff(results: Sequence[Result]) -> Tradeoff:
    """Put the cells of a run side by side."""
    lasts = [result.last for result in results]
    names = tuple(dict.fromkeys(name for last in lasts for name in last.quality))
    known = {
        name: next((last.measured[name] for last in lasts if name in last.measured), None)
        for name in names
    }
    return Tradeoff(
        sides=tuple(
            Side(r.cell, r, {name: r.last.quality.get(name) for name in names}) for r in results
        ),
        measures=names,
        better={name: m.better if m else None for name, m in known.items()},
        real={name: m.real if m else None for name, m in known.items()},
    )


def cost_of(checkpoint: Checkpoint, name: str) -> float | None:
    """Return a measure of quality so turned that smaller is better.

    A measure of which values near to those of real images are good costs its distance from these.

    Returns:
        None where it has no number, or is not known which way is better.
    """
    value, known = checkpoint.quality.get(name), checkpoint.measured.get(name)
    if value is None or known is None:
        return None
    if known.better == "real":
        return None if known.real is None else abs(value - known.real)
    return value if known.better == "lower" else -value
