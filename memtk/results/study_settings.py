"""The findings of a study by setting: all that differs but the seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtk.results.schema import Checkpoint, Result
from memtk.results.spread import Spread, spread
from memtk.results.study import SEED, Finding, StudyFile
from memtk.results.study_measures import Value, measure, others


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
    def training_seconds(self) -> Spread | None:
        """Seconds that training the generator took."""
        return spread([training_seconds(result) for result in self.results])

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
        """Return a measure of each seed that has it; see `memtk.results.study_measures`."""
        found = (measure(key).of(r, c) for r, c in self.at(step))
        return tuple(value for value in found if value is not None)

    def share(self, key: str, step: int | None = None) -> Spread | None:
        """Return the share of a measure over the seeds."""
        return spread([value.share for value in self.measured(key, step)])

    def count(self, key: str, step: int | None = None) -> Spread | None:
        """Return the count of a measure over the seeds."""
        counts = [value.count for value in self.measured(key, step)]
        return spread([count for count in counts if count is not None])

    def null(self, key: str, step: int | None = None) -> float | None:
        """Return the mean null of a measure."""
        nulls = [value.null for value in self.measured(key, step)]
        found = spread([null for null in nulls if null is not None])
        return found.mean if found else None

    def quality(self, name: str, step: int | None = None) -> Spread | None:
        """Return a measure of quality, or of an attack, over the seeds."""
        found = [others(r, c) for r, c in self.at(step)]
        return spread([each[name][0] for each in found if name in each])

    def real(self, name: str, step: int | None = None) -> float | None:
        """Return what it is compared with, where that is known: real images, or chance."""
        lines = [others(r, c).get(name, (0.0, None))[1] for r, c in self.at(step)]
        found = spread([line for line in lines if line is not None])
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
