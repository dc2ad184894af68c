"""The end of a run in the terminal: what was found, and the numbers with their nulls."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.report.effects import effects_in_words
from memtk.report.terminal_tables import (
    FEW,
    attacks_table,
    brief,
    compared,
    comparison_table,
    legend,
    make_table,
    quality_table,
    short,
    tight,
)
from memtk.results import (
    Audit,
    Comparable,
    Evidence,
    GroupTest,
    MeasureRecord,
    Rate,
    Result,
    SelfTest,
    headline,
    percent,
    verdict,
)
from memtk.results.formats import interval, many, share
from memtk.results.measures import audit_measures, main_measures, measures_of, named_measures
from memtk.results.reasons import ALIKE, BLUR
from memtk.results.sentences import TITLES, two_numbers

_STYLES = {"memorized": "bold red", "inconclusive": "yellow", "none": "cyan"}
_OUTCOMES = {"pass": "bold cyan", "fail": "bold red", "inconclusive": "bold yellow"}


def summary(results: Sequence[Result]) -> RenderableType:
    """Return a table of all checkpoints, what else was measured, and the verdicts.

    In brackets stands what a generator that has memorized nothing would score.
    """
    measures = main_measures(
        named_measures((result, c) for result in results for c in result.evaluated).values()
    )
    table = make_table("generator, step", *(f"{m.protocol}\n{m.key}" for m in measures))
    for result in results:
        table.add_row(Text(result.cell))
        for checkpoint in result.evaluated:
            found = {m.name: m.record for m in measures_of(result, checkpoint)}
            table.add_row(
                f"{checkpoint.step:>10,}{' anew' if checkpoint.reevaluated else ''}",
                *(Text(brief(found.get(m.name))) for m in measures),
                end_section=checkpoint is result.evaluated[-1],
            )
    several = len(results) > 1
    quality = quality_table(results, compared(results) if several else ())
    attacks = attacks_table(results)
    return Group(
        table,
        Text(
            f"{legend(measures)}\n[in brackets: a generator that has memorized nothing]",
            style="dim",
        ),
        *([comparison_table(results)] if several else []),
        *([quality] if quality is not None else []),
        *([attacks] if attacks is not None else []),
        *_effects(results),
        Text(),
        *_verdicts(results),
    )


def _effects(results: Sequence[Result]) -> list[Text]:
    """Return what the mitigations did; what several did in the same words is said once."""
    by: dict[str, list[str]] = {}
    for result in results:
        for mitigation, text in effects_in_words(result):
            by.setdefault(text, []).append(f"{result.cell}, {mitigation}")
    return [Text(f"{'; '.join(names)}: {text}", style="dim") for text, names in by.items()]


def _verdicts(results: Sequence[Result]) -> list[Text]:
    """Return a sentence a generator; of more than a few, who shares a verdict."""
    if len(results) <= FEW:
        return [_line(result) for result in results]
    by: dict[tuple[str, str], list[str]] = {}
    for result in results:
        said = verdict(result)
        by.setdefault((said.title, _STYLES[said.kind]), []).append(result.cell)
    return [Text.assemble(name, ": ", (", ".join(cells), "bold")) for name, cells in by.items()] + [
        Text("The report has the reasons of each.", style="dim")
    ]


def audit_summary(audit: Audit) -> RenderableType:
    """Return the outcome of an audit with its reasons, and the numbers with nulls and intervals."""
    outcome = audit.verdict.outcome
    reasons = Table.grid(padding=(0, 1, 0, 0))
    for reason in audit.verdict.reasons:
        reasons.add_row(" -", Text(tight(reason)))
    notes = [*audit.evidence.notes, *audit.notes]
    return Group(
        Text.assemble(
            (TITLES[outcome].upper(), _OUTCOMES[outcome]),
            f": {tight(two_numbers(audit.evidence))}",
        ),
        reasons,
        _numbers(audit),
        *([_noticed(audit.selftest)] if audit.selftest else []),
        *(Text(note, style="dim") for note in notes),
    )


def selftest_table(selftest: SelfTest) -> RenderableType:
    """Return how many of the planted copies were found, by kind and strength, with intervals."""
    titles = ("conformal", "reference", "nearest of all", "right image")
    table = make_table("planted copies", *titles)
    rows = [(f"{p.kind} {p.strength:g} {p.unit}" if p.unit else p.kind, p) for p in selftest.plants]
    found = [(name, plant.found) for name, plant in rows]
    for name, each in [*found, ("mixed", selftest.sensitivity)]:
        rates = (each.conformal, each.dar, each.min_p, each.right_image)
        table.add_row(
            Text(name, style="bold" if name == "mixed" else ""),
            *(Text(_brief(rate)) for rate in rates),
            end_section=bool(found) and name == found[-1][0],
        )
    return Group(
        table,
        Text(
            "conformal: p <= alpha; nearest of all: nearer than every validation image; right "
            "image: named as the source, of those found.\n"
            f"[in brackets: {share(selftest.confidence)} interval]",
            style="dim",
        ),
        Text(),
        _noticed(selftest),
    )


def _numbers(audit: Audit) -> Table:
    """Return the numbers of an audit, one a line: what, how much, by chance or interval."""
    found = audit.evidence
    n, m = audit.counts["training"], audit.counts["synthetic"]
    confidence = found.confidence or audit.policy.confidence
    titles = ("found", "interval, or what chance would give")
    table = make_table("", *titles, justify="left", gap=2)
    if found.copy_rate:
        bound, rate = found.copy_rate_upper_bound, found.copy_rate
        most = "" if bound is None else f"; at most {share(bound)}"
        table.add_row(
            "copy rate",
            share(rate.estimate),
            tight(f"{interval(rate.low, rate.high, confidence)}{most}"),
        )
    if found.exposed is None:
        table.add_row("patients exposed", "-", "not tested")
    else:
        exposed = found.exposed
        table.add_row(
            "patients exposed",
            f"{exposed.low} to {exposed.high} of {exposed.of}",
            f"{share(confidence)} interval; chance gives 0",
        )
    for title, named, of in (
        ("copies named", found.copies, m.images),
        ("training images named", found.training_images, n.images),
    ):
        if named is not None:
            table.add_row(
                title,
                f"{named.sure} sure, {named.suspect} suspect of {of}",
                f"without a model, at least {named.at_least}",
            )
    if found.copies is not None:
        check = found.copies.check
        table.add_row(
            "strangers' tail",
            found.copies.model,
            found.copies.reason if check is None else f"check: p = {check:.3g}",
        )
    for title, group, limit in _groups(found):
        table.add_row(
            title,
            "alike" if group.p > limit else "not alike",
            f"p = {group.p:.3g}, {tight(share(group.size))} apart",
        )
    for each in main_measures(audit_measures(audit)):
        table.add_row(Text(f"{each.protocol}: {each.record.title}"), *_found(each.record))
    if audit.data is not None:
        table.add_row("identical images", f"{audit.identical_images} of {m.images}", "")
    return table


def _groups(found: Evidence) -> list[tuple[str, GroupTest, float]]:
    """Return what was asked of those that are compared, with the p-value up to which it is no."""
    tests = found.comparable or Comparable()
    asked = (
        ("training and validation patients", tests.population, ALIKE),
        ("other synthetic images and strangers", tests.synthetic, BLUR),
    )
    return [(title, group, limit) for title, group, limit in asked if group is not None]


def _found(record: MeasureRecord) -> tuple[str, str]:
    """Return a measure, and its share with what chance would give or why it cannot be had."""
    if record.value is None:
        return "-", record.note
    if record.of is None:
        return f"{record.value:.4g}", record.note
    chance = "" if record.null is None else f"; by chance about {percent(record.null)}"
    number = share(record.value)
    if record.count is not None:
        number = f"{record.count:.1f}".removesuffix(".0")
    return f"{number} of {record.of}", f"{percent(record.value)}{chance}"


def _noticed(selftest: SelfTest) -> Text:
    """Return the self-test in one line."""
    found, right = selftest.sensitivity.conformal, selftest.sensitivity.right_patient
    spared = selftest.specificity.conformal
    named = f", the right patient named for {share(right.rate)} of them" if right.n else ""
    measured = interval(found.low, found.high, selftest.confidence)
    line = (
        f"Self-test: {found.count} of {many(found.n, 'planted copy')} noticed ("
        f"{share(found.rate)}, {measured}){named}; {spared.count} of {many(spared.n, 'stranger')} "
        f"rightly not flagged ({share(spared.rate)})."
    )
    return Text(tight(line))


def _brief(rate: Rate) -> str:
    if not rate.n:
        return "-"
    low, high = round(100 * rate.low), round(100 * rate.high)
    return f"{short(rate.rate)} [{low}-{high}]"


def _line(result: Result) -> Text:
    said = verdict(result)
    return Text.assemble(
        (said.title, _STYLES[said.kind]),
        "  ",
        (result.cell, "bold"),
        f": {tight(two_numbers(result.last.evidence))}. ",
        headline(result),
    )
