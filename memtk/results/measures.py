"""The measures of a checkpoint, each with its null and interval, and beside quality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memtk.results.audit import Audit
from memtk.results.protocols import (
    Evidence,
    Exposed,
    MeasureRecord,
    RateInterval,
    Table,
    Tables,
)
from memtk.results.schema import Checkpoint, Counts, MeasureInfo, Result


@dataclass(frozen=True)
class Measured:
    """One measure of one synthetic set, of a protocol or of memtk's own.

    Args:
        protocol: its name; empty for what the verdict rests on, which comes first: the copy rate,
            the exposed patients, and who is suspect.
        key: unique within the protocol.
        record: its numbers. A share has an interval: its own, or that of a binomial proportion for
            the validation images as they are, whose own chance is not in it.
    """

    protocol: str
    key: str
    record: MeasureRecord

    @property
    def name(self) -> str:
        """Unique among all measures: "dar:n_mem", "copy_rate"."""
        return f"{self.protocol}:{self.key}" if self.protocol else self.key


def measures_of(result: Result, checkpoint: Checkpoint, name: str | None = None) -> list[Measured]:
    """Return every measure of a checkpoint, in the order in which they are shown.

    Args:
        name: of the only one that is asked for.
    """
    total = checkpoint.n_synthetic
    return _measures(checkpoint.evidence, checkpoint.protocols, result.used_training, total, name)


def audit_measures(audit: Audit) -> list[Measured]:
    """Return every measure of an audit, in the order in which they are shown."""
    total = audit.counts["synthetic"].images
    return _measures(audit.evidence, audit.protocols, audit.counts["training"], total)


def named_measures(found: Iterable[tuple[Result, Checkpoint]]) -> dict[str, Measured]:
    """Return the measures of some checkpoints by name, one of each, memtk's own first.

    It is the first one with a number: without one a protocol may know neither title nor null.
    """
    known: dict[str, Measured] = {}
    for result, checkpoint in found:
        for m in measures_of(result, checkpoint):
            if m.name not in known or known[m.name].record.value is None:
                known[m.name] = m
    order = list(dict.fromkeys(m.protocol for m in known.values()))
    order.sort(key=bool)  # what every checkpoint may lack, such as a copy rate, stays in front
    return {n: m for protocol in order for n, m in known.items() if m.protocol == protocol}


def main_measures(found: Iterable[Measured]) -> list[Measured]:
    """Return the measures of protocols that are shown where there is little room.

    Those of which it is known what a generator that has memorized nothing would score; of a
    protocol without any such, the first.
    """
    by: dict[str, list[Measured]] = {}
    for each in found:
        by.setdefault(each.protocol, []).append(each)
    by.pop("", None)
    return [
        each
        for table in by.values()
        for each in ([m for m in table if m.record.null is not None] or table[:1])
    ]


def _measures(
    found: Evidence, tables: Tables, training: Counts, synthetic: int, only: str | None = None
) -> list[Measured]:
    rate, patients = found.copy_rate, training.patients
    own: Table = {}
    if rate is not None:
        own["copy_rate"] = MeasureRecord(
            value=rate.estimate,
            title="copy rate",
            side="synthetic",
            of=synthetic,
            null=0.0,
            interval=(rate.low, rate.high),
            note=found.readers_note("{}, who read pairs of these very images."),
        )
    if (exposed := found.exposed) is not None:
        own["exposed"] = MeasureRecord(
            value=exposed.low / max(1, exposed.of),
            title="patients exposed, at least",
            side="training",
            count=exposed.low,
            of=exposed.of,
            null=0.0,
            interval=(exposed.low / max(1, exposed.of), exposed.high / max(1, exposed.of)),
        )
    titles = ("synthetic images suspect", "training images suspect", "patients suspect")
    if found.copies is None:  # of an older memtk, by ranks
        titles = ("copies flagged", "training images flagged", "exposed patients")
    counted: tuple[tuple[str, str, Literal["training", "synthetic"], int | None, int], ...] = (
        ("n_copies", titles[0], "synthetic", found.n_copies, synthetic),
        ("n_mem", titles[1], "training", found.n_mem, training.images),
        ("patients_exposed", titles[2], "training", found.patients_exposed, patients),
    )
    for key, title, side, count, of in counted:
        if count is not None:
            own[key] = MeasureRecord(
                value=count / max(1, of), title=title, side=side, count=count, of=of
            )
    said = [Measured("", key, record) for key, record in own.items()]
    for name, table in tables.items():
        said += [
            Measured(name, key, record)
            for key, record in table.items()
            if key not in own or own[key].title != record.title  # said already
        ]
    return [
        replace(each, record=_bounded(each.record, patients, found.confidence))
        for each in said
        if only in (None, each.name)
    ]


def _bounded(record: MeasureRecord, patients: int, confidence: float | None) -> MeasureRecord:
    """Give a share its interval. Images of one patient are not independent: on the side of the
    training images each patient counts as one trial, which is wide where most images of a patient
    differ."""
    trials = patients if record.side == "training" else record.of
    if record.value is None or record.interval is not None or not record.of or not trials:
        return record
    from memtk.intervals import of_rate  # numpy, which what only reads results does without

    found = of_rate(record.value, trials, confidence or 0.95)
    return record.model_copy(update={"interval": (found.low, found.high)})


def others(result: Result, checkpoint: Checkpoint) -> dict[str, tuple[float, float | None]]:
    """Return what else is measured, by name: the number, and what it is compared with.

    Quality and diversity beside what real images score, and of what the verdict is about the area
    under the curve of each membership attack beside 0.5, which is chance, and the epsilon that it
    shows at least beside that of the accountant.
    """
    found = {
        name: (
            value,
            checkpoint.measure_info[name].real if name in checkpoint.measure_info else None,
        )
        for name, value in checkpoint.quality.items()
    }
    if checkpoint is result.last:
        found |= {
            f"{name}, AUC": (attack.auc.estimate, 0.5)
            for name, attack in result.membership.items()
            if attack.auc is not None
        }
        claimed = result.privacy.epsilon if result.privacy else None
        found |= {
            f"{name}, epsilon": (attack.epsilon.low, claimed)
            for name, attack in result.membership.items()
            if attack.epsilon is not None
        }
    return found


@dataclass(frozen=True)
class Side:
    """One cell in the comparison.

    Args:
        result: its numbers; those of the checkpoint that the verdict is about count.
        quality: by measure; None where it has no number.
    """

    cell: str
    result: Result
    quality: dict[str, float | None]

    @property
    def copy_rate(self) -> RateInterval | None:
        """The copy rate in excess of chance, with its interval; None where it was not computed."""
        return self.result.last.evidence.copy_rate

    @property
    def exposed(self) -> Exposed | None:
        """Between how many and how many training patients are exposed; None where not tested."""
        return self.result.last.evidence.exposed


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
        name: next((last.measure_info[name] for last in lasts if name in last.measure_info), None)
        for name in names
    }
    return Tradeoff(
        sides=tuple(
            Side(r.cell, r, {name: r.last.quality.get(name) for name in names}) for r in results
        ),
        measures=names,
        better={name: better_of(m) for name, m in known.items()},
        real={name: m.real if m else None for name, m in known.items()},
    )


def better_of(known: MeasureInfo | None) -> str | None:
    """Return which values are good; None where nothing says so, or near to a line it lacks."""
    return None if known is None or known.better == "real" and known.real is None else known.better


def cost_of(checkpoint: Checkpoint, name: str) -> float | None:
    """Return a measure of quality so turned that smaller is better.

    A measure of which values near to those of real images are good costs its distance from these.

    Returns:
        None where it has no number, or is not known which way is better.
    """
    value, known = checkpoint.quality.get(name), checkpoint.measure_info.get(name)
    if value is None or known is None or better_of(known) is None:
        return None
    if known.real is not None and known.better == "real":
        return abs(value - known.real)
    return value if known.better == "lower" else -value
