"""The end of a run in the terminal: what was found, and the numbers with their nulls."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.results import Result, headline, percent, verdict

_STYLES = {"memorized": "bold red", "signs": "yellow", "inconclusive": "dim", "none": "cyan"}


def summary(results: Sequence[Result]) -> RenderableType:
    """Return a sentence a generator, and a table of all checkpoints.

    In brackets stands what a generator that has memorized nothing would score.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("generator")
    for name in ("step", "n_mem", "n_copies", "matched", "exposed", "copied"):
        table.add_column(name, justify="right")
    for result in results:
        for checkpoint in result.checkpoints:
            dar = checkpoint.protocols.dar
            matched = checkpoint.protocols.dar_matched.mem_fraction
            test = checkpoint.protocols.conformal
            last = checkpoint is result.checkpoints[-1]
            table.add_row(
                Text(result.cell if checkpoint is result.checkpoints[0] else ""),
                f"{checkpoint.step:,}",
                _with_null(dar.n_mem, dar.mem_fraction, dar.expected_mem_fraction),
                f"{dar.n_copies} {_short(dar.copy_fraction)}",
                Text("-" if matched is None else _share(matched, 0.05)),
                _with_null(
                    test.n_mem, test.exposed_flagged_fraction, test.exposed_expected_fraction
                ),
                _with_null(
                    test.n_copies, test.copies_flagged_fraction, test.copies_expected_fraction
                ),
                end_section=last,
            )
    return Group(
        table,
        Text(
            "n_mem, n_copies: reference rule; matched: n_mem at equal sizes; exposed, copied: "
            "conformal, images flagged and share with p <= alpha.\n"
            "[in brackets: a generator that has memorized nothing]",
            style="dim",
        ),
        Text(),
        *(_line(result) for result in results),
    )


def _line(result: Result) -> Text:
    said = verdict(result)
    return Text.assemble(
        (said.title, _STYLES[said.kind]), "  ", (result.cell, "bold"), ": ", headline(result)
    )


def _with_null(count: int | None, share: float | None, null: float | None) -> Text:
    if count is None or share is None or null is None:
        return Text("-")
    return Text(f"{count} {_share(share, null)}")


def _share(share: float, null: float) -> str:
    return f"{_short(share)} [{_short(null)}]"


def _short(share: float) -> str:
    return percent(share).replace(" ", "")  # a narrow terminal must not break it
