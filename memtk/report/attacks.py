"""What the report and the terminal show of membership attacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.memorization import roc, scores_of
from memtk.report.figures import draw_attacks
from memtk.results import Membership, Result, has_arrays, read_arrays
from memtk.results.wording import share


def attacks_figure(path: Path, result: Result) -> str | None:
    """Return the ROC curves of a cell's attacks as a `data:` URI; None where none was measured.

    Args:
        path: the cell's arrays.

    Raises:
        UserError: if the file is damaged, naming it.
    """
    curves, patients = {}, 0
    for name, found in result.membership.items():
        group = f"attack {name}"
        if found.auc is None or not has_arrays(path, group):
            continue
        scores = read_arrays(path, group)
        sides = (
            scores_of(scores[side], scores[f"{side}_patient"].tolist(), side)
            for side in ("members", "non_members")
        )
        curves[name] = roc(*sides)
        patients = found.non_member_patients
    return draw_attacks(curves, patients)


def attacks_table(results: Sequence[Result]) -> RenderableType | None:
    """Return a line for each attack on each generator; None where there was none."""
    if not any(result.membership for result in results):
        return None
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("membership attack", "on", "AUC [chance: 0.5]", "members found"):
        table.add_column(Text(name), overflow="fold")
    notes: list[str] = []
    for result in results:
        for name, found in result.membership.items():
            table.add_row(name, Text(result.cell), *_figures(found))
            few = found.few_alarms
            if few and few.reason:
                notes.append(few.reason)
    legend = "members found: how many training images, at which false positive rate."
    said = [Text(note, style="dim") for note in (legend, *dict.fromkeys(f"{n}." for n in notes))]
    return Group(table, *said)


def _figures(found: Membership) -> tuple[str, str]:
    if found.auc is None or found.few_alarms is None:
        return "-", found.reason
    auc, few = found.auc, found.few_alarms
    rate = f"{100 * few.rate.low:.0f} to {100 * few.rate.high:.0f}"
    return (
        f"{auc.estimate:.2f} ({auc.low:.2f} to {auc.high:.2f})",
        f"{share(few.rate.estimate)} ({rate}) at {share(few.fpr)}".replace(" %", "%"),
    )
