"""The leaderboard as CSV: a line an entry, with plain numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from statistics import fmean

from memtk.leaderboard.board import Board
from memtk.leaderboard.rank import Rank
from memtk.leaderboard.row import Row

_FIXED = (
    *("table", "benchmark", "images", "dims", "N", "M", "V", "embedder", "similarity"),
    *("generator", "package", "version", "mitigations", "remarks", "preset", "truth"),
    *("rank_best", "rank_worst", "copy_rate", "copy_rate_low", "copy_rate_high"),
    *("seeds", "verdict"),
)


def spreadsheet(boards: Sequence[Board]) -> str:
    """Return every entry of every table; "table" tells which may be compared.

    Shares are fractions. Of each number there is the mean over the seeds, and the lowest and the
    highest in columns of their own, and what it is compared with: chance, or real images. What is
    not known is empty.
    """
    keys = list(dict.fromkeys(column.key for board in boards for column in board.columns))
    names = [f"{key}{end}" for key in keys for end in ("", " min", " max", " null")]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIXED, *names], restval="", lineterminator="\n")
    writer.writeheader()
    for board in boards:
        for row, rank in zip(board.rows, board.ranks, strict=True):
            writer.writerow(_line(board, row, rank))
    return text.getvalue()


def _line(board: Board, row: Row, rank: Rank | None) -> dict[str, object]:
    result, rate, used = row.runs[0].result, row.copy_rate, row.generator
    values: list[object] = [
        *(board.key, board.benchmark, board.images, board.dims, result.used_training.images),
        *(result.last.n_synthetic, result.data.counts["validation"].images),
        *(board.conditions["embedder"], board.conditions["similarity"]),
        *(used.name, used.distribution, used.version, row.mitigations, row.remarks),
        *(row.presets, row.truth),
        *((rank.best, rank.worst) if rank else ("", "")),
        *((rate.estimate, rate.low, rate.high) if rate else ("", "", "")),
        *(row.seeds, row.verdict.kind),
    ]
    line = {
        name: _inert(value) if isinstance(value, str) else value
        for name, value in zip(_FIXED, values, strict=True)
    }
    for column in board.columns:
        found = row.values(column.value)
        if found:
            line[column.key] = fmean(found)
            line[f"{column.key} min"], line[f"{column.key} max"] = min(found), max(found)
        if nulls := row.values(column.other):
            line[f"{column.key} null"] = fmean(nulls)
    return line


def _inert(text: str) -> str:
    """Keep a text of a file from being run as a formula by a spreadsheet program."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
