"""Several seeds of one setting: their mean, how far they lie apart, and two settings compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from memtk.results.measures import Measured, measures_of, named_measures, others
from memtk.results.protocols import MeasureRecord, QualityInterval, RateInterval
from memtk.results.schema import Checkpoint, Result
from memtk.results.store import csv_text
from memtk.results.study import SEED, Finding, StudyFile


@dataclass(frozen=True)
class SeedInterval:
    """What several seeds gave.

    Args:
        values: one a seed.
        low: the smallest, and `high` the largest.
        interval: 95% of the mean by Student's t over the seeds; None of a single one. It says how
            much trainings vary; the patients are the same in all of them.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    interval: tuple[float, float] | None

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.values)


def seed_interval(values: Sequence[float]) -> SeedInterval | None:
    """Return mean, range and 95% interval of the mean; None of nothing.

    The interval is `mean -+ t(0.975, k - 1) s / sqrt(k)` with the standard deviation s of the k
    seeds. With two seeds t is 12.7: the interval is wide because two say little.

    >>> seed_interval([0.5]).interval is None
    True
    >>> [round(v, 2) for v in seed_interval([0.1, 0.2, 0.3]).interval]
    [-0.05, 0.45]
    """
    if not values:
        return None
    mean, interval = fmean(values), None
    if len(values) > 1:
        reach = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
        interval = (mean - reach, mean + reach)
    return SeedInterval(tuple(values), mean, min(values), max(values), interval)


def _interval(values: Iterable[float | None]) -> SeedInterval | None:
    return seed_interval([value for value in values if value is not None])


@dataclass(frozen=True)
class Setting:
    """One setting of a study, with the seeds that are there.

    Args:
        label: for a reader.
        values: of the axes but the seed, by key.
        findings: one a seed.
    """

    label: str
    values: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def results(self) -> tuple[Result, ...]:
        """One a seed."""
        return tuple(finding.result for finding in self.findings)

    @property
    def first(self) -> Result:
        """Of the first seed; sizes and components are those of all."""
        return self.results[0]

    @property
    def training_seconds(self) -> SeedInterval | None:
        """Seconds that training the generator took."""
        return seed_interval([training_seconds(result) for result in self.results])

    def steps(self) -> tuple[int, ...]:
        """Return the steps of the checkpoints that every seed has."""
        common = set.intersection(*({c.step for c in r.checkpoints} for r in self.results))
        return tuple(sorted(common))

    def at(self, step: int | None = None) -> tuple[tuple[Result, Checkpoint], ...]:
        """Return the checkpoints of a step, one a seed; by default each seed's last."""
        if step is None:
            return tuple((r, r.last) for r in self.results)
        return tuple((r, c) for r in self.results for c in r.checkpoints if c.step == step)

    def measured(self, name: str, step: int | None = None) -> tuple[MeasureRecord, ...]:
        """Return a measure of each seed that has it, by its name: "dar:n_mem", "copy_rate"."""
        found = (each.record for r, c in self.at(step) for each in measures_of(r, c, name))
        return tuple(record for record in found if record.value is not None)

    def value(self, name: str, step: int | None = None) -> SeedInterval | None:
        """Return the value of a measure over the seeds."""
        return _interval(record.value for record in self.measured(name, step))

    def count(self, name: str, step: int | None = None) -> SeedInterval | None:
        """Return the count of a measure over the seeds."""
        return _interval(record.count for record in self.measured(name, step))

    def null(self, name: str, step: int | None = None) -> float | None:
        """Return the mean null of a measure."""
        found = _interval(record.null for record in self.measured(name, step))
        return found.mean if found else None

    def quality(self, name: str, step: int | None = None) -> SeedInterval | None:
        """Return a measure of quality, or of an attack, over the seeds."""
        return _interval(others(r, c).get(name, (None, None))[0] for r, c in self.at(step))

    def real(self, name: str, step: int | None = None) -> float | None:
        """Return what it is compared with, where that is known: real images, or chance."""
        found = _interval(others(r, c).get(name, (None, None))[1] for r, c in self.at(step))
        return found.mean if found else None


def settings_of(file: StudyFile, findings: Sequence[Finding]) -> tuple[Setting, ...]:
    """Group findings by setting, in the order in which they come.

    A setting is what the axes say and the generator with its mitigations. Of runs that were given
    it is every component's configuration too: one name with other settings is never averaged.
    """
    axes = [axis for axis in file.axes if axis.key != SEED]
    generators = {finding.result.cell for finding in findings}
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        values = [finding.values.get(axis.key, "") for axis in axes]
        # Of a grid the axes say it all; sizes and steps may differ a little between its seeds.
        unlike = signature(finding.result) if file.runs else ""
        key = (*values, finding.result.cell, unlike)
        groups.setdefault(key, []).append(finding)
    made = []
    labels: list[str] = []
    for group in groups.values():
        first = group[0]
        said = [
            first.values[axis.key] if axis.key == "generator" else f"{axis.label} {value}"
            for axis in axes
            if (value := first.values.get(axis.key, ""))
        ]
        named = any(axis.key == "generator" for axis in axes)
        if not said or (len(generators) > 1 and not named and not _told(generators, axes)):
            said.insert(0, first.result.cell)
        label = ", ".join(said)
        labels.append(label)
        label = label if labels.count(label) == 1 else f"{label}, other settings"
        named_values = {axis.key: first.values.get(axis.key, "") for axis in axes}
        made.append(Setting(label, named_values, tuple(group)))
    return tuple(made)


def _told(generators: set[str], axes: Sequence[object]) -> bool:
    """Tell whether the generators' names differ by mitigations alone, which the axes name."""
    return bool(axes) and len({name.split("+")[0] for name in generators}) == 1


def signature(result: Result) -> str:
    """Return a text that two results share if they differ in seed and numbers alone."""
    parts = result.components.model_dump(mode="json", exclude={"protocols"})
    sizes = [result.used_training.images, result.last.n_synthetic]
    return json.dumps([parts, result.preset, sizes], sort_keys=True)


def training_seconds(result: Result) -> float:
    """Return the seconds that training the generator of a cell took."""
    known = result.training_seconds
    return result.timing.get(f"training {result.cell}", 0.0) if known is None else known


def measures_in(settings: Sequence[Setting]) -> dict[str, Measured]:
    """Return the measures of all checkpoints by name, in the order in which they are shown.

    Of each the first record is given; its numbers are those of one checkpoint alone.
    """
    return named_measures(
        (result, checkpoint)
        for setting in settings
        for result in setting.results
        for checkpoint in result.evaluated
    )


def qualities(settings: Sequence[Setting]) -> list[str]:
    """Return the names of all measures of quality and attacks, in the order in which they come."""
    found = (n for s in settings for r in s.results for c in r.evaluated for n in others(r, c))
    return list(dict.fromkeys(found))


def study_rows(file: StudyFile, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the numbers of a study, one dict a checkpoint; None where something was not computed.

    Under the name of a measure stands its value (of a share in [0, 1]), under `NAME_count` the
    count, under `NAME_null` the value of a generator that has memorized nothing, under `NAME_low`
    and `NAME_high` its interval. `quality:NAME` is a measure of quality or the area under an
    attack's curve, and `real:NAME` what real images score in it, or 0.5. What was found by
    condition stands below `COLUMN=VALUE:copy_rate` and so on, at the last checkpoint.
    """
    axes = [axis.key for axis in file.axes if axis.key != SEED]
    every = [(f.result, checkpoint) for f in findings for checkpoint in f.result.evaluated]
    names = list(dict.fromkeys(name for r, c in every for name in others(r, c)))
    measures = list(named_measures(every))
    told = [_by_condition(checkpoint) for _, checkpoint in every]
    rows = [
        _row(axes, finding, checkpoint, measures, names)
        for finding in findings
        for checkpoint in finding.result.evaluated
    ]
    blank = {key: None for found in told for key in found}
    return [row | blank | found for row, found in zip(rows, told, strict=True)]


def _by_condition(checkpoint: Checkpoint) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for found in checkpoint.by_condition:
        group, exposed = f"{found.column}={found.value}", found.exposed
        row[f"{group}:n_synthetic"] = found.n_synthetic
        spans: dict[str, RateInterval | QualityInterval | None] = {"copy_rate": found.copy_rate}
        spans |= {f"quality:{name}": each for name, each in found.quality.items()}
        for name, span in spans.items():
            if span is not None:
                row[f"{group}:{name}"] = span.estimate
                row |= {f"{group}:{name}_low": span.low, f"{group}:{name}_high": span.high}
        if exposed is not None:
            row |= {f"{group}:exposed_low": exposed.low, f"{group}:exposed_high": exposed.high}
    return row


def study_csv(file: StudyFile, findings: Sequence[Finding]) -> str:
    """Return the same as CSV, with a line of column names; what was not computed is empty."""
    rows = study_rows(file, findings)
    return csv_text(rows[0] if rows else (), (row.values() for row in rows), safe=True)


def _row(
    axes: Sequence[str],
    finding: Finding,
    checkpoint: Checkpoint,
    measures: Sequence[str],
    names: Sequence[str],
) -> dict[str, Any]:
    result, evidence = finding.result, checkpoint.evidence
    validation = result.data.counts["validation"]
    row: dict[str, Any] = {axis: finding.values.get(axis) for axis in axes}
    row |= {
        "cell": finding.cell,
        "model": result.cell,
        "seed": result.seed,
        "step": checkpoint.step,
        "last": checkpoint is result.last,
        "reevaluated": checkpoint.reevaluated,
        "n_training": result.used_training.images,
        "training_patients": result.used_training.patients,
        "n_validation": validation.images,
        "validation_patients": validation.patients,
        "n_synthetic": checkpoint.n_synthetic,
        "alpha": evidence.alpha,
        "fdr": evidence.fdr,
        "confidence": evidence.confidence,
        "copy_rate_note": evidence.readers_note("{}"),
        "training_seconds": training_seconds(result),
    }
    records = {each.name: each.record for each in measures_of(result, checkpoint)}
    for name in measures:
        record = records.get(name)
        low, high = (record and record.interval) or (None, None)
        row |= {
            name: record and record.value,
            f"{name}_count": record and record.count,
            f"{name}_null": record and record.null,
            f"{name}_low": low,
            f"{name}_high": high,
        }
    found = others(result, checkpoint)
    for name in names:
        row[f"quality:{name}"], row[f"real:{name}"] = found.get(name, (None, None))
    return row
