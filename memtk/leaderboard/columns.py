"""The numbers of a table. Numbers of different protocols never share a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from memtk.errors import many
from memtk.leaderboard.rows import Row
from memtk.results import Result
from memtk.results.formats import about_time, duration, ends, share
from memtk.results.measures import measures_of

OWN = ("verdict", "quality", "attack", "run")
"""Groups of columns that are no protocol's. The copy rate and the exposed patients stand first."""

FOLDED = {"quality": "quality", "attack": "membership attacks"}
"""Groups of columns that a page shows when it is asked to, with their heads."""

Value = Callable[[Result], float | None]
Text = Callable[[Result], str]


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Args:
        key: unique within a table, for links and files.
        group: what it belongs to: a protocol by its name, or one of `OWN`.
        value: of a result; None where it has none.
        unit: of the value, which decides how it is written.
        count: what a single number counts.
        beside: what stands beside it: "by chance", "real images".
        other: the number that does; None where there is none.
    """

    key: str
    label: str
    group: str
    value: Value
    unit: Literal["share", "number", "seconds"]
    count: Text = lambda result: ""
    beside: str = ""
    other: Value = lambda result: None


@dataclass(frozen=True)
class Shown:
    """A number of a row as a reader sees it.

    Args:
        value: the mean over the seeds, to sort by; None where there is none.
        notes: what belongs to it, a line each; of several seeds, the range first.
    """

    value: float | None
    text: str
    notes: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What belongs to it, in one line."""
        return "; ".join(self.notes)


def columns_of(rows: Iterable[Row]) -> list[Column]:
    """Return the columns of a table in which any row has a number."""
    results = [run.result for row in rows for run in row.runs]
    names = sorted({name for result in results for name in result.last.quality})
    attacks = sorted({name for result in results for name in result.membership})
    columns = [
        *(_protocol(name, key, results) for name, key in _first_measures(results)),
        *(_quality(name) for name in names),
        *(column for name in attacks for column in _attack(name, results)),
        SECONDS,
    ]
    return [c for c in columns if any(c.value(result) is not None for result in results)]


def shown(column: Column, row: Row) -> Shown:
    """Return what a row says in a column."""
    values = row.values(column.value)
    if not values:
        return Shown(None, "–")
    notes = []
    if len(row.runs) == 1:
        notes.append(column.count(row.runs[0].result))
    elif " to " in (seeds := _range(values, column.unit)):
        notes.append(seeds)
    if others := row.values(column.other):
        notes.append(f"{column.beside} {_range(others, column.unit)}")
    if len(values) < len(row.runs):
        notes.append(f"{len(values)} of {many(len(row.runs), 'seed')}")
    mean = fmean(values)
    return Shown(mean, written(mean, column.unit), tuple(note for note in notes if note))


def _range(values: Sequence[float], unit: str) -> str:
    low, high = (written(x, unit) for x in (min(values), max(values)))
    return low if low == high else f"{low.removesuffix('%')} to {high}"


def written(value: float, unit: str) -> str:
    """Return a number for a reader.

    >>> written(0.453, "share"), written(12.7, "seconds"), written(0.32095, "number")
    ('45.3%', '12.7 s', '0.321')
    """
    if unit == "share":
        return share(min(max(value, 0.0), 1.0))
    if unit == "seconds":
        return duration(value) if value < 60 else about_time(value)
    return f"{value:.3g}"


def copy_rate(row: Row) -> Shown:
    """Return the estimated copy rate with its interval."""
    rate = row.copy_rate
    if rate is None:
        return Shown(None, "–", ("not computed",))
    by = sorted({run.result.last.evidence.readers_note("{}") for run in row.runs} - {""})
    return Shown(rate.estimate, share(rate.estimate), (ends(rate.low, rate.high), *by))


def exposed(row: Row) -> Shown:
    """Return between how many and how many training patients are exposed."""
    found = row.exposed
    if found is None:
        old = any(run.result.last.evidence.n_mem is not None for run in row.runs)
        return Shown(None, "–", ("not computed" if old else "not tested",))
    return Shown(found.low / max(1, found.of), found.ends, (f"of {found.of}",))


def _first_measures(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return protocol and key of the first measure of each protocol; none that stands there."""
    tables = [(name, table) for r in results for name, table in r.last.protocols.items()]
    firsts = sorted({(name, next(iter(table))) for name, table in tables if table})
    shown = {(m.protocol, m.key) for r in results for m in measures_of(r, r.last)}
    return [first for first in firsts if first in shown]


def _protocol(name: str, key: str, results: Sequence[Result]) -> Column:
    known = next(m for r in results if (m := r.last.measure(name, key)) is not None)

    def count(result: Result) -> str:
        found = result.last.measure(name, key)
        # an expectation is no count of images
        whole = found is not None and isinstance(found.count, int)
        return f"{found.count} of {found.of}" if found and whole else ""

    def null(result: Result) -> float | None:
        return found.null if (found := result.last.measure(name, key)) else None

    def value(result: Result) -> float | None:
        return found.value if (found := result.last.measure(name, key)) else None

    unit: Literal["share", "number"] = "share" if known.of is not None else "number"
    return Column(f"{name}:{key}", known.title, name, value, unit, count, "by chance", null)


SECONDS = Column("seconds", "time", "run", lambda r: sum(r.timing.values()) or None, "seconds")


def _attack(name: str, results: Sequence[Result]) -> list[Column]:
    def auc(result: Result) -> float | None:
        found = result.membership.get(name)
        return found.auc.estimate if found and found.auc else None

    def interval(result: Result) -> str:
        found = result.membership.get(name)
        return f"{found.auc.low:.2f} to {found.auc.high:.2f}" if found and found.auc else ""

    def epsilon(result: Result) -> float | None:
        found = result.membership.get(name)
        return found.epsilon.low if found and found.epsilon else None

    def claimed(result: Result) -> float | None:
        return result.privacy.epsilon if result.privacy else None

    columns = [
        Column(
            f"auc {name}",
            f"{name}, AUC",
            "attack",
            auc,
            "number",
            interval,
            "by chance",
            lambda r: 0.5,
        )
    ]
    if any(epsilon(result) is not None for result in results):
        head = f"{name}, epsilon at least"
        columns.append(
            Column(
                f"epsilon {name}",
                head,
                "attack",
                epsilon,
                "number",
                beside="accountant",
                other=claimed,
            )
        )
    return columns


def _quality(name: str) -> Column:
    def real(result: Result) -> float | None:
        info = result.last.measure_info.get(name)
        return None if info is None else info.real

    return Column(
        f"quality {name}",
        name,
        "quality",
        lambda r: r.last.quality.get(name),
        "number",
        beside="real images",
        other=real,
    )
