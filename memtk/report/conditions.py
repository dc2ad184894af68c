"""What was found by condition, in words: a row for each group, for terminal and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from memtk.report.page import Section, make_section
from memtk.report.terminal_tables import COMPARED, make_table, tight
from memtk.results import ByCondition, QualityInterval, Result
from memtk.results.formats import interval, many, number, share


@dataclass(frozen=True)
class ConditionRow:
    """One group of images of a condition, in words.

    Args:
        group: "view = AP".
        samples: how many synthetic images were to be of it.
        rate: of copies, and `rate_interval` with what it is of.
        exposed: training patients, low to high.
        named: copies that are named.
        against: the strangers that it is compared with.
        quality: by measure: the number, and its interval.
    """

    group: str
    samples: int
    rate: str
    rate_interval: str
    exposed: str
    named: str
    against: str
    quality: tuple[tuple[str, str, str], ...]


def condition_rows(result: Result) -> list[ConditionRow]:
    """Return a row for each group that the generator was told apart; none without conditions."""
    confidence = result.last.evidence.confidence or 0.95
    return [_row(found, confidence) for found in result.last.by_condition]


def conditions_section(result: Result) -> Section | None:
    """Return the section of the page; None where the generator was told nothing."""
    rows = condition_rows(result)
    if not rows:
        return None
    return make_section(
        "conditions",
        "By condition",
        "conditions.html",
        rows=rows,
        measures=list(dict.fromkeys(name for row in rows for name, _, _ in row.quality)),
        pooled=pooled(result),
        confidence=result.last.evidence.confidence or 0.95,
    )


def pooled(result: Result) -> str:
    """Say which groups are not compared within, "" if all are."""
    wide = [found for found in result.last.by_condition if not found.within]
    if not wide:
        return ""
    few = ", ".join(f"{_name(f)} ({f.validation_patients})" for f in wide)
    return (
        f"Too few validation patients for a comparison within the group, which takes 20: {few}. "
        "There the strangers are all validation images, and a group whose images are much alike "
        "may look memorized."
    )


def conditions_table(results: Sequence[Result]) -> RenderableType | None:
    """Return the table of the terminal; None where no generator was told anything."""
    told = [(result, condition_rows(result)) for result in results]
    told = [(result, rows) for result, rows in told if rows]
    if not told:
        return None
    measures = list(
        dict.fromkeys(m for result, _ in told for f in result.last.by_condition for m in f.quality)
    )[:COMPARED]
    table = make_table("by condition", "samples", "copy rate", "exposed", *measures, gap=2)
    for result, rows in told:
        if len(results) > 1:
            table.add_row(Text(result.cell))
        for row, found in zip(rows, result.last.by_condition, strict=True):
            ends = found.copy_rate
            rate = "–" if ends is None else f" [{100 * ends.low:.0f}-{100 * ends.high:.0f}]"
            quality = [_brief(found.quality.get(name)) for name in measures]
            cells = (str(row.samples), f"{row.rate}{rate}" if ends else rate, row.exposed, *quality)
            table.add_row(Text(row.group), *(Text(tight(cell)) for cell in cells))
    note = (
        "copy rate: of the samples of the group [interval in %]; exposed: training patients, by "
        "their images of the group; quality: against validation images of the group [interval]. "
        "Strangers are validation images of the same group."
    )
    said = dict.fromkeys([note, *(pooled(result) for result, _ in told)])
    return Group(table, Text(" ".join(filter(None, said)), style="dim"))


def _brief(found: QualityInterval | None) -> str:
    return "–" if found is None else f"{found.estimate:.3g} [{found.low:.2g}, {found.high:.2g}]"


def _row(found: ByCondition, confidence: float) -> ConditionRow:
    rate, exposed, named = found.copy_rate, found.exposed, found.copies
    strangers = "all validation images"
    if found.within:
        strangers = f"{many(found.validation_patients, 'validation patient')} of the group"
    return ConditionRow(
        group=_name(found),
        samples=found.n_synthetic,
        rate="–" if rate is None else share(rate.estimate),
        rate_interval="" if rate is None else interval(rate.low, rate.high, confidence),
        exposed="–" if exposed is None else f"{exposed.low} to {exposed.high} of {exposed.of}",
        named="–" if named is None else f"{named.sure} sure, {named.suspect} suspect",
        against=strangers,
        quality=tuple(
            (name, number(q.estimate), f"{number(q.low)} to {number(q.high)}")
            for name, q in found.quality.items()
        ),
    )


def _name(found: ByCondition) -> str:
    return f"{found.column} = {found.value}"
