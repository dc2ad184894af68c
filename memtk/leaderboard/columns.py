"""The numbers of a table. Numbers of different protocols never share a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from memtk.leaderboard.row import Row
from memtk.results import Result
from memtk.results.formats import share

Value = Callable[[Result], float | None]
Text = Callable[[Result], str]


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Args:
        key: unique within a table, for links and files.
        label: its head.
        group: "conformal", "dar", "dar-matched", "quality", "attack" or "run".
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
    unit: Literal["share", "count", "number", "seconds"]
    count: Text = lambda result: ""
    beside: str = ""
    other: Value = lambda result: None


@dataclass(frozen=True)
class Shown:
    """A number of a row as a reader sees it.

    Args:
        value: the mean over the seeds, to sort by; None where there is none.
        text: the mean.
        note: what belongs to it; of several seeds, the range.
    """

    value: float | None
    text: str
    note: str = ""


def columns_of(rows: Iterable[Row]) -> list[Column]:
    """Return the columns of a table, with one for each quality measure that any row has."""
    results = [run.result for row in rows for run in row.runs]
    names = sorted({name for result in results for name in result.last.quality})
    attacks = sorted({name for result in results for name in result.membership})
    return [
        *PROTOCOLS,
        *(_quality(name) for name in names),
        *(_attack(name) for name in attacks),
        SECONDS,
    ]


def shown(column: Column, row: Row) -> Shown:
    """Return what a row says in a column."""
    values = row.values(column.value)
    if not values:
        return Shown(None, "–", "not tested" if column.group == "conformal" else "")
    notes = []
    if len(row.runs) == 1:
        notes.append(column.count(row.runs[0].result))
    elif " to " in (seeds := _range(values, column.unit)):
        notes.append(seeds)
    if others := row.values(column.other):
        notes.append(f"{column.beside} {_range(others, column.unit)}")
    if len(values) < len(row.runs):
        notes.append(f"{len(values)} of {len(row.runs)} seeds")
    mean = fmean(values)
    return Shown(mean, written(mean, column.unit), "; ".join(note for note in notes if note))


def _range(values: Sequence[float], unit: str) -> str:
    low, high = (written(x, unit) for x in (min(values), max(values)))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def written(value: float, unit: str) -> str:
    """Return a number for a reader.

    >>> written(0.453, "share"), written(3.0, "count"), written(0.32095, "number")
    ('45.3 %', '3', '0.321')
    """
    if unit == "share":
        return share(min(max(value, 0.0), 1.0))
    if unit == "count":
        return f"{value:g}" if value == round(value) else f"{value:.1f}"
    return f"{value:.0f}" if unit == "seconds" and value >= 10 else f"{value:.3g}"


def copy_rate(row: Row) -> Shown:
    """Return the estimated copy rate with its interval."""
    rate = row.copy_rate
    if rate is None:
        return Shown(None, "–", "not computed")
    low, high = share(rate.low).removesuffix(" %"), share(rate.high)
    return Shown(rate.estimate, share(rate.estimate), f"{low} to {high}")


def _copies(result: Result) -> float:
    return result.last.protocols.conformal.n_copies / result.last.n_synthetic


def _exposed(result: Result) -> float | None:
    found = result.last.protocols.conformal.n_mem
    return None if found is None else found / max(1, result.used_training.images)


PROTOCOLS = (
    Column(
        "copies",
        "copies flagged",
        "conformal",
        _copies,
        "share",
        lambda r: f"{r.last.protocols.conformal.n_copies} of {r.last.n_synthetic}",
    ),
    Column(
        "exposed",
        "training images flagged",
        "conformal",
        _exposed,
        "share",
        lambda r: f"{r.last.protocols.conformal.n_mem} of {r.used_training.images}",
    ),
    Column(
        "patients",
        "exposed patients",
        "conformal",
        lambda r: r.last.protocols.conformal.patients_exposed,
        "count",
        beside="of",
        other=lambda r: r.used_training.patients,
    ),
    Column(
        "dar",
        "memorized, n_mem / N",
        "dar",
        lambda r: r.last.protocols.dar.mem_fraction,
        "share",
        lambda r: f"{r.last.protocols.dar.n_mem} of {r.used_training.images}",
        "by chance",
        lambda r: r.last.protocols.dar.expected_mem_fraction,
    ),
    Column(
        "dar_matched",
        "memorized at equal sizes",
        "dar-matched",
        lambda r: r.last.protocols.dar_matched.mem_fraction,
        "share",
        beside="by chance",
        other=lambda r: 0.05,
    ),
)
"""The columns that every table has, beside the copy rate."""

SECONDS = Column("seconds", "seconds", "run", lambda r: sum(r.timing.values()) or None, "seconds")


def _attack(name: str) -> Column:
    def auc(result: Result) -> float | None:
        found = result.membership.get(name)
        return found.auc.estimate if found and found.auc else None

    def interval(result: Result) -> str:
        found = result.membership.get(name)
        return f"{found.auc.low:.2f} to {found.auc.high:.2f}" if found and found.auc else ""

    head = f"{name}, AUC"
    return Column(
        f"auc {name}", head, "attack", auc, "number", interval, "by chance", lambda r: 0.5
    )


def _quality(name: str) -> Column:
    def real(result: Result) -> float | None:
        measured = result.last.measured.get(name)
        return None if measured is None else measured.real

    return Column(
        f"quality {name}",
        name,
        "quality",
        lambda r: r.last.quality.get(name),
        "number",
        beside="real images",
        other=real,
    )
