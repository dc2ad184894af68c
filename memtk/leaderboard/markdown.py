"""The leaderboard as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memtk.leaderboard.board import Board
from memtk.leaderboard.collection import Refused
from memtk.leaderboard.columns import OWN, copy_rate, shown
from memtk.leaderboard.rank import Rank
from memtk.leaderboard.row import Row
from memtk.results.formats import many

MADE = "<!-- made by `memtk leaderboard`; add results instead of changing it -->"

RULE = (
    "Rows are ordered by the copy rate: the share of the synthetic images that are copies of "
    "training images, in excess of chance and corrected by the sensitivity that was measured with "
    "planted copies. A row is ranked behind another only if its interval lies wholly above the "
    "other's; where they overlap, the rank is a range, and both share a place. Of several seeds "
    "the mean is shown, and the interval reaches from the lowest lower end to the highest upper "
    "one. Rows of known truth have no rank. A low copy rate is a statement about these images, "
    "this embedder and these sizes, not about safety."
)


def markdown(boards: Sequence[Board], refused: Iterable[Refused] = ()) -> str:
    """Return the tables, one below the other; the same tables give the same text."""
    parts = [MADE, "# Leaderboard", RULE]
    last = ""
    for board in boards:
        if board.heading != last:
            parts.append(f"## {_text(board.heading)}")
        last = board.heading
        parts.append(f"### {_text(board.title)}")
        parts += [f"> {_text(caution)}" for caution in board.cautions]
        if board.remedy:
            parts.append(f"```\n{board.remedy}\n```")
        parts.append(_table(board))
        parts.append(
            "In common: " + "; ".join(f"{k} {_text(v)}" for k, v in board.conditions.items()) + "."
        )
        if board.reasons:
            parts.append("Kept apart because of " + "; ".join(map(_text, board.reasons)) + ".")
    names = [f"- `{_text(r.name)}`: {_text(r.reason)}" for r in refused]
    if names:
        parts += [f"## {many(len(names), 'file')} refused", "\n".join(names)]
    return "\n\n".join(parts) + "\n"


def _table(board: Board) -> str:
    heads = ["rank", "generator", "package", "mitigations", "copy rate", "interval"]
    # a protocol's numbers share no column with another's
    heads += [c.label if c.group in OWN else f"{c.group}: {c.label}" for c in board.columns]
    heads += ["seeds", "verdict"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row, rank in zip(board.rows, board.ranks, strict=True):
        lines.append(_line(_cells(board, row, rank)))
    return "\n".join(lines)


def _cells(board: Board, row: Row, rank: Rank | None) -> list[str]:
    used, rate = row.generator, copy_rate(row)
    name = f"{used.name} ({row.remarks})" if row.remarks else used.name
    place = f"truth: {row.truth}" if row.truth else "–" if rank is None else str(rank)
    numbers = []
    for column in board.columns:
        said = shown(column, row)
        numbers.append(f"{said.text} ({said.note})" if said.note else said.text)
    package = f"{used.distribution} {used.version}"
    return [
        *(place, name, package, row.mitigations or "–", rate.text, rate.note),
        *(*numbers, row.seeds, row.verdict.title),
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(text: str) -> str:
    """Keep a text of a file from being read as markup."""
    for sign in "\\`|<>*_[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
