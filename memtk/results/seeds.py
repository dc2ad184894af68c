"""Several seeds of one setting: their mean, how far they lie apart, and two settings compared."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from memtk.results.measures import MEASURES, Value, measure, others
from memtk.results.schema import Checkpoint, Result
from memtk.results.study import SEED, Finding, StudyFile


@dataclass(frozen=True)
class SeedInterval:
    """What several seeds gave.

    Args:
        values: one a seed.
        mean: of them.
        low: the smallest, and `high` the largest.
        interval: 95 % of the mean by Student's t over the seeds; None of a single one. It says how
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
    """Return mean, range and 95 % interval of the mean; None of nothing.

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

    def measured(self, key: str, step: int | None = None) -> tuple[Value, ...]:
        """Return a measure of each seed that has it; see `memtk.results.measures`."""
        found = (measure(key).of(r, c) for r, c in self.at(step))
        return tuple(value for value in found if value is not None)

    def share(self, key: str, step: int | None = None) -> SeedInterval | None:
        """Return the share of a measure over the seeds."""
        return seed_interval([value.share for value in self.measured(key, step)])

    def count(self, key: str, step: int | None = None) -> SeedInterval | None:
        """Return the count of a measure over the seeds."""
        counts = [value.count for value in self.measured(key, step)]
        return seed_interval([count for count in counts if count is not None])

    def null(self, key: str, step: int | None = None) -> float | None:
        """Return the mean null of a measure."""
        nulls = [value.null for value in self.measured(key, step)]
        found = seed_interval([null for null in nulls if null is not None])
        return found.mean if found else None

    def quality(self, name: str, step: int | None = None) -> SeedInterval | None:
        """Return a measure of quality, or of an attack, over the seeds."""
        found = [others(r, c) for r, c in self.at(step)]
        return seed_interval([each[name][0] for each in found if name in each])

    def real(self, name: str, step: int | None = None) -> float | None:
        """Return what it is compared with, where that is known: real images, or chance."""
        lines = [others(r, c).get(name, (0.0, None))[1] for r, c in self.at(step)]
        found = seed_interval([line for line in lines if line is not None])
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
    parts = result.components.model_dump(mode="json")
    sizes = [result.used_training.images, result.last.n_synthetic]
    return json.dumps([parts, result.preset, sizes], sort_keys=True)


def training_seconds(result: Result) -> float:
    """Return the seconds that training the generator of a cell took."""
    known = result.training_seconds
    return result.timing.get(f"training {result.cell}", 0.0) if known is None else known


def qualities(settings: Sequence[Setting]) -> list[str]:
    """Return the names of all measures of quality and attacks, in the order in which they come."""
    found = (n for s in settings for r in s.results for c in r.judged for n in others(r, c))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class PairedDifference:
    """By how much one setting differs from another in a measure.

    Args:
        setting: the one, and `against` the other.
        key: of the measure.
        difference: share of the one less that of the other, over the seeds that both have.
    """

    setting: Setting
    against: Setting
    key: str
    difference: SeedInterval

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval of the mean difference leaves out 0."""
        interval = self.difference.interval
        return interval is not None and (interval[0] > 0 or interval[1] < 0)


def paired_difference(setting: Setting, against: Setting, key: str) -> PairedDifference | None:
    """Compare two settings at their last checkpoints; None where no seed has both.

    Paired by seed: one seed has the same images and copy detector in both, so that what differs is
    the setting and the generator's own randomness. Of measures whose null depends on the sizes, as
    that of the reference rule does, a difference says nothing where the sizes differ.
    """
    ours, theirs = _shares(setting, key), _shares(against, key)
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    found = seed_interval(differences)
    return PairedDifference(setting, against, key, found) if found else None


def _shares(setting: Setting, key: str) -> dict[int, float]:
    values = {result.seed: measure(key).of(result, result.last) for result in setting.results}
    return {seed: value.share for seed, value in values.items() if value is not None}


def study_rows(file: StudyFile, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the numbers of a study, one dict a checkpoint; None where something was not computed.

    Shares are in [0, 1]; `*_null` is the share of a generator that has memorized nothing;
    `quality:NAME` is a measure of quality or the area under an attack's curve, and `real:NAME` what
    real images score in it, or 0.5.
    """
    axes = [axis.key for axis in file.axes if axis.key != SEED]
    names = list(
        dict.fromkeys(n for f in findings for c in f.result.judged for n in others(f.result, c))
    )
    return [
        _row(axes, finding, checkpoint, names)
        for finding in findings
        for checkpoint in finding.result.judged
    ]


def study_csv(file: StudyFile, findings: Sequence[Finding]) -> str:
    """Return the same as CSV, with a line of column names; what was not computed is empty."""
    rows = study_rows(file, findings)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(
    axes: Sequence[str], finding: Finding, checkpoint: Checkpoint, names: Sequence[str]
) -> dict[str, Any]:
    result, protocols = finding.result, checkpoint.protocols
    validation = result.data.counts["validation"]
    row: dict[str, Any] = {axis: finding.values.get(axis) for axis in axes}
    row |= {
        "cell": finding.cell,
        "model": result.cell,
        "seed": result.seed,
        "step": checkpoint.step,
        "last": checkpoint is result.last,
        "anew": checkpoint.anew,
        "n_training": result.used_training.images,
        "training_patients": result.used_training.patients,
        "n_validation": validation.images,
        "validation_patients": validation.patients,
        "n_synthetic": checkpoint.n_synthetic,
        "dar_tau": protocols.dar.tau,
    }
    for each in MEASURES:
        value = each.of(result, checkpoint)
        if each.key != "copy_rate":
            row |= {
                f"{each.key}_count": value.count if value else None,
                f"{each.key}_share": value.share if value else None,
                f"{each.key}_null": value.null if value else None,
                f"{each.key}_low": value.low if value else None,
                f"{each.key}_high": value.high if value else None,
            }
        else:
            row |= {
                "copy_rate": value.share if value else None,
                "copy_rate_low": value.low if value else None,
                "copy_rate_high": value.high if value else None,
            }
    row |= {
        "alpha": protocols.conformal.alpha,
        "fdr": protocols.conformal.fdr,
        "confidence": protocols.conformal.confidence,
        "patients_exposed": protocols.conformal.patients_exposed,
        "training_seconds": training_seconds(result),
    }
    found = others(result, checkpoint)
    for name in names:
        row[f"quality:{name}"], row[f"real:{name}"] = found.get(name, (None, None))
    return row
