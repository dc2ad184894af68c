"""What a study compares: each measure of a checkpoint with its share, count, null and interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from memtk.intervals import of_rate
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
