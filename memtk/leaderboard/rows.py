"""An entry of a table: one generator with its mitigations, over all of its seeds; its rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from memtk.config import differing
from memtk.errors import many
from memtk.leaderboard.collection import Run
from memtk.results import Exposed, RateInterval, Result, Used, control
from memtk.results.collect import key_of
from memtk.results.formats import p_value, share
from memtk.results.verdicts import Verdict, verdict

_GRAVITY = ("none", "inconclusive", "memorized")


@dataclass(frozen=True)
class Row:
    """An entry: its results, by seed, and the settings that tell it from others of its name."""

    runs: tuple[Run, ...]
    variant: str = ""

    @property
    def generator(self) -> Used:
        """The generator, with package and version."""
        return self.runs[0].result.components.generator

    @property
    def mitigations(self) -> str:
        """The names of its mitigations."""
        return ", ".join(m.name for m in self.runs[0].result.components.mitigations)

    @property
    def name(self) -> str:
        """Generator and mitigations."""
        used = self.runs[0].result.components
        return "+".join([used.generator.name, *(m.name for m in used.mitigations)])

    @property
    def truth(self) -> str:
        """What its copy rate must be, of a row of known truth; empty of all others."""
        return min(control(run.result) for run in self.runs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of how its numbers came about, a short sentence each."""
        said = []
        if self.variant:
            said.append(self.variant)
        if self.unranked:
            said.append(f"no rank: {self.unproven or self.unlike}")
        for result in (run.result for run in self.runs):
            said += [f"epsilon {result.privacy.epsilon:.3g}"] if result.privacy else []
            said += ["chosen by a score and judged anew"] if result.last.reevaluated else []
        drawn = _drawn(self.runs[0])  # as many in all of a table
        kept = sorted({run.result.last.n_synthetic for run in self.runs})
        if kept != [drawn]:
            span = f"{kept[0]} to {kept[-1]}" if len(kept) > 1 else kept[0]
            said.append(f"{span} of {many(drawn, 'image')} released")
        return tuple(dict.fromkeys(said))

    @property
    def remarks(self) -> str:
        """Its notes in one line; empty of most rows."""
        return "; ".join(self.notes)

    @property
    def unranked(self) -> bool:
        """Whether it stands behind all others, without a rank; no control does."""
        return not self.truth and bool(self.unproven or self.unlike)

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict on any of its seeds."""
        return max(self._verdicts, key=lambda v: _GRAVITY.index(v.kind))

    @property
    def _verdicts(self) -> list[Verdict]:
        return [verdict(run.result) for run in self.runs]

    @property
    def why(self) -> str:
        """Why the verdict is what it is, in a few words, and in how many of its seeds."""
        kind = self.verdict.kind
        alike = [v for v in self._verdicts if v.kind == kind]
        said = max((v.brief for v in alike), key=len)
        if not said or len(alike) == len(self.runs):
            return said
        return f"{said} in {len(alike)} of {many(len(self.runs), 'seed')}"

    @property
    def seeds(self) -> str:
        """Its seeds."""
        return ", ".join(str(run.result.seed) for run in self.runs)

    @property
    def presets(self) -> str:
        """The presets that it was run with."""
        return ", ".join(sorted({run.result.preset for run in self.runs}))

    @property
    def unproven(self) -> str:
        """Why it has no rank; empty where the copy rate of every seed was recomputed."""
        return next((run.unproven for run in self.runs if run.unproven), "")

    @property
    def unlike(self) -> str:
        """Why its images are unlike the data, and it has no rank; empty of all others.

        What resembles nothing cannot be a copy: a low copy rate is then no merit. A row of which
        any seed is so is not ranked. What must be so of a control is no matter of quality.
        """
        for run in self.runs if not self.truth else ():
            comparable = run.result.last.evidence.comparable
            if comparable and (test := comparable.unlike):
                return (
                    f"its images are unlike the data (two-sample test: {p_value(test.p)}, "
                    f"{share(test.size)} of the largest possible distance): no copies of them"
                )
        return ""

    @property
    def copy_rate(self) -> RateInterval | None:
        """The mean copy rate, recomputed where it can be, between the seeds' outermost ends.

        None where any of its seeds has none.
        """
        rates = [run.rate or run.result.last.evidence.copy_rate for run in self.runs]
        known = [rate for rate in rates if rate is not None]
        if not known or len(known) < len(rates):
            return None
        return RateInterval(
            estimate=fmean(rate.estimate for rate in known),
            low=min(rate.low for rate in known),
            high=max(rate.high for rate in known),
        )

    @property
    def exposed(self) -> Exposed | None:
        """The exposed patients, from the lowest lower end of its seeds to the highest upper one.

        None where any of its seeds has none, or they are of other numbers of patients.
        """
        found = [run.result.last.evidence.exposed for run in self.runs]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found) or len({each.of for each in known}) > 1:
            return None
        low, high = min(each.low for each in known), max(each.high for each in known)
        return Exposed(low=low, high=high, of=known[0].of)

    def values(self, of: Callable[[Result], float | None]) -> list[float]:
        """Return a number of every seed that has it."""
        found = (of(run.result) for run in self.runs)
        return [value for value in found if value is not None]


def _drawn(run: Run) -> int:
    return run.result.checkpoints[-1].n_synthetic


def make_rows(runs: Sequence[Run]) -> list[Row]:
    """Group runs by entry: the same generator, version, settings and mitigations."""
    entries: dict[str, list[Run]] = {}
    for run in runs:
        entries.setdefault(_entry(run), []).append(run)
    rows = [
        Row(tuple(sorted(found, key=lambda run: (run.result.seed, run.digest))))
        for _, found in sorted(entries.items())
    ]
    named: dict[str, list[Row]] = {}
    for row in rows:
        named.setdefault(row.name, []).append(row)
    return [Row(row.runs, _variant(row, named[row.name])) for row in rows]


def _entry(run: Run) -> str:
    parts = run.result.components
    return key_of([_plain(parts.generator), [_plain(m) for m in parts.mitigations]])


def _plain(used: Used) -> dict[str, Any]:
    return used.model_dump(mode="json")


def _variant(row: Row, same: Sequence[Row]) -> str:
    """Return in a few words the settings that tell a row from others of its name, and those asked
    for beyond its preset, tables of settings aside."""
    own, first = _settings(row), row.runs[0].result
    asked = (first.request or {}).get("settings", {}).get(first.components.generator.name)
    asked = asked if isinstance(asked, Mapping) else {}
    keys = dict.fromkeys(key for key in asked if not isinstance(own.get(key, {}), Mapping))
    for other in same:
        if other is not row:
            keys |= dict.fromkeys(key for key, _, _ in differing(own, _settings(other)))
    texts = [f"{key} {_at(own, key)}" for key in keys if key != "version"]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more


def _settings(row: Row) -> dict[str, Any]:
    parts = row.runs[0].result.components
    mitigations = {m.name: dict(m.config) for m in parts.mitigations}
    return {**parts.generator.config, **mitigations, "version": parts.generator.version}


def _at(tree: Any, key: str) -> str:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return "none" if tree is None else str(tree).lower() if isinstance(tree, bool) else str(tree)


@dataclass(frozen=True)
class Rank:
    """The places that an entry may hold; `best` is 1 at the least."""

    best: int
    worst: int

    def __str__(self) -> str:
        """Return "2", or "1–3" where the numbers leave it open."""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def ranks(intervals: Sequence[RateInterval | None]) -> list[Rank | None]:
    """Return the rank of each entry by its copy rate, lower being better; None has none.

    An entry is behind another only if its interval lies wholly above the other's. Its best place
    is one more than the number of entries that it is behind, its worst one the number of entries
    that are not behind it. So two entries with overlapping intervals always share a place, and of
    two that do not the one has the better best and the better worst place.

    >>> ends = (0, 0.1), (0.05, 0.4), (0.2, 0.5)
    >>> [str(r) for r in ranks([RateInterval(estimate=a, low=a, high=b) for a, b in ends])]
    ['1–2', '1–3', '2–3']
    """
    known = [each for each in intervals if each is not None]
    found: list[Rank | None] = []
    for own in intervals:
        if own is None:
            found.append(None)
            continue
        behind = sum(other.high < own.low for other in known)
        ahead = sum(other.low > own.high for other in known)
        found.append(Rank(behind + 1, len(known) - ahead))
    return found
