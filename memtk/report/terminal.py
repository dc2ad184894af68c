"""The end of a run in the terminal: what was found, and the numbers with their nulls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.errors import many
from memtk.report.audit_steps import audit_steps
from memtk.report.counts import Group as Counts
from memtk.report.counts import conditions_table, counts_of_audit
from memtk.report.effects import effects_in_words
from memtk.report.next_steps import NextStep, run_steps
from memtk.report.terminal_tables import (
    FEW,
    attacks_table,
    between,
    brief,
    compared,
    comparison_table,
    legend,
    make_table,
    quality_table,
)
from memtk.results import (
    Answer,
    Audit,
    Rate,
    Result,
    SelfTest,
    answer_audit,
    answer_cell,
    answer_controls,
    answer_run,
    control,
    read_run_file,
)
from memtk.results.formats import interval, share
from memtk.results.measures import Measured, main_measures, measures_of, named_measures

ABREAST = 5
"""Measures of checkpoints beside each other; more go into another table."""

_STYLES = {
    "memorized": "bold red",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "none": "bold cyan",
    "pass": "bold cyan",
}


def summary(results: Sequence[Result], folder: Path | None = None) -> RenderableType:
    """Return a table of all checkpoints, what else was measured, the answers, and what can be done.

    In brackets stands what a generator that has memorized nothing would score.

    Args:
        folder: of the run, for the commands that go on from it; None shows none.
    """
    measures = main_measures(
        named_measures((result, c) for result in results for c in result.evaluated).values()
    )
    several = len(results) > 1
    further = (
        comparison_table(results) if several else None,
        quality_table(results, compared(results) if several else ()),
        conditions_table(results),
        attacks_table(results),
    )
    starts = range(0, max(1, len(measures)), ABREAST)
    return Group(
        *(_checkpoints(results, measures[start : start + ABREAST]) for start in starts),
        Text(
            f"{legend(measures)}\n[in brackets: a generator that has memorized nothing]",
            style="dim",
        ),
        *(each for each in further if each is not None),
        *_effects(results),
        Text(),
        bench_answer(results, folder),
    )


def _checkpoints(results: Sequence[Result], measures: Sequence[Measured]) -> Table:
    """Return a table of some measures, a line for each checkpoint."""
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
    return table


def bench_answer(results: Sequence[Result], folder: Path | None = None) -> RenderableType:
    """Return the answer on each generator, and what can be done now; see `summary`."""
    if folder is None:
        return Group(*_answers(results))
    steps = run_steps(results, folder, read_run_file(folder).recipe, paths=True)
    return Group(*_answers(results), *what_now(steps))


def _effects(results: Sequence[Result]) -> list[Text]:
    """Return what the mitigations did; what several did in the same words is said once."""
    by: dict[str, list[str]] = {}
    for result in results:
        for mitigation, text in effects_in_words(result):
            by.setdefault(text, []).append(f"{result.cell}, {mitigation}")
    return [Text(f"{'; '.join(names)}: {text}", style="dim") for text, names in by.items()]


def _answers(results: Sequence[Result]) -> list[RenderableType]:
    """Return the answer on each generator, of more than a few in one; controls take a sentence."""
    tested = [result for result in results if not control(result)] or results
    if len(tested) > FEW:
        return [Text(answer_run(results)), Text("The report has the reasons.", style="dim")]
    parts = [part for result in tested for part in _answer(answer_cell(result), result.cell)]
    controls = answer_controls(results)
    return [*parts, Text(controls)] if controls else parts


def _answer(said: Answer, cell: str = "") -> list[RenderableType]:
    """Return an answer: it in a sentence, its two numbers, why."""
    reasons = Table.grid(padding=(0, 1, 0, 0))
    for reason in said.why:
        reasons.add_row(" -", Text(reason))
    name = [(f"{cell}: ", "bold")] if cell else []
    return [
        Text.assemble((said.badge.upper(), _STYLES[said.kind]), "  ", *name, said.first),
        *(Text(number, style="bold") for number in said.numbers),
        reasons,
    ]


def what_now(steps: Sequence[NextStep]) -> list[RenderableType]:
    """Return what can be done; a command is never folded, so that it can be copied."""
    if not steps:
        return []
    lines: list[RenderableType] = [Text("What now", style="bold")]
    for step in steps:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(" -", Text(step.said))
        lines.append(grid)
        for line in step.command.splitlines():
            lines.append(Text(f"   {line}", no_wrap=True, overflow="ignore", style="cyan"))
    return lines


def audit_summary(audit: Audit, folder: Path | None = None) -> RenderableType:
    """Return every count with what chance would give, then the answer, and what can be done.

    Args:
        folder: of the run, for the commands that go on from it; None shows none.
    """
    notes = [*audit.evidence.notes, *audit.notes]
    more = quality_table([audit]), conditions_table([audit])
    return Group(
        *(_counts(group) for group in counts_of_audit(audit)),
        *(table for table in more if table is not None),
        *([_noticed(audit.selftest)] if audit.selftest else []),
        Text(),
        audit_answer(audit, folder),
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


def audit_answer(audit: Audit, folder: Path | None = None) -> RenderableType:
    """Return the answer of an audit, and what can be done now; see `audit_summary`."""
    steps = [] if folder is None else what_now(audit_steps(audit, folder, paths=True))
    return Group(*_answer(answer_audit(audit)), *steps)


def _counts(group: Counts) -> RenderableType:
    """Return the counts of one kind, one a line: what, how much, by chance, interval."""
    table = make_table(
        group.name or "count", "found", "by chance", "interval, or what to know", justify="left"
    )
    for row in group.rows:
        cells = (row.title, row.found, row.chance, row.note)
        table.add_row(*(Text(cell) for cell in cells))
    if not (group.name and group.about):
        return table
    return Group(table, Text(f"{group.name}: {group.about}.", style="dim"))


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
    return Text(line)


def _brief(rate: Rate) -> str:
    if not rate.n:
        return "-"
    return f"{share(rate.rate)}\n{between(rate.low, rate.high)}"
