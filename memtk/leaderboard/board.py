"""A table of the leaderboard: entries that can be compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtk.leaderboard.collection import Run
from memtk.leaderboard.columns import Column, columns_of
from memtk.leaderboard.conditions import apart, benchmark, conditions, dims
from memtk.leaderboard.known import missing, strange
from memtk.leaderboard.rank import Rank, ranks
from memtk.leaderboard.row import Row, make_rows
from memtk.results.collect import key_of


@dataclass(frozen=True)
class Board:
    """One table.

    Args:
        key: that stands for its conditions.
        benchmark: suite and version, or somebody's own data.
        images: what own data are, in somebody's words; empty if nobody says.
        dims: "2D" or "3D".
        conditions: what its numbers have in common.
        reasons: why it stands apart from other tables of the suite.
        rows: in the order of their copy rate.
        ranks: of the rows; None of rows of known truth and of those without a copy rate.
        columns: of numbers.
        cautions: what a reader must know first: rows of known truth that are missing or wrong.
        remedy: the command that adds the missing rows; empty if none are.
    """

    key: str
    benchmark: str
    images: str
    dims: str
    conditions: dict[str, str]
    reasons: tuple[str, ...]
    rows: tuple[Row, ...]
    ranks: tuple[Rank | None, ...]
    columns: tuple[Column, ...]
    cautions: tuple[str, ...]
    remedy: str

    @property
    def suite(self) -> str:
        """The suite's name, or "own data"."""
        return self.benchmark.partition(",")[0]

    @property
    def heading(self) -> str:
        """What was benched."""
        return f"{self.images} ({self.benchmark})" if self.images else self.benchmark

    @property
    def title(self) -> str:
        """What tells it from others, in a line."""
        embedder = self.conditions["embedder"].partition(" of ")[0].partition(":")[0]
        presets = ", ".join(sorted({run.result.preset for row in self.rows for run in row.runs}))
        images = self.conditions["images"].partition(", fingerprint")[0]
        return f"{images} · {self.conditions['sizes']} · embedder {embedder} · preset {presets}"


def make_boards(runs: Sequence[Run]) -> list[Board]:
    """Sort runs into tables: what cannot be compared is kept apart, and says why.

    Rows of known truth stand in the order of all others but have no rank. The order of the runs
    does not matter.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.digest):
        groups.setdefault(tuple(conditions(run).values()), []).append(run)
    firsts = [found[0] for _, found in sorted(groups.items())]
    return [_board(found, firsts) for _, found in sorted(groups.items())]


def _board(runs: Sequence[Run], firsts: Sequence[Run]) -> Board:
    first = runs[0]
    others = [run for run in firsts if run is not first and _kind(run) == _kind(first)]
    rows = sorted(make_rows(runs), key=_order)
    ranked = iter(ranks([row.copy_rate for row in rows if not row.truth]))
    absent, remedy = missing(rows)
    said = {run.images for run in runs if run.result.suite is None} - {""}
    return Board(
        key=key_of(list(conditions(first).values())),
        benchmark=benchmark(first),
        images=min(said, default=""),
        dims=dims(first),
        conditions=conditions(first),
        reasons=tuple(apart(first, others)),
        rows=tuple(rows),
        ranks=tuple(None if row.truth else next(ranked) for row in rows),
        columns=tuple(columns_of(rows)),
        cautions=(*absent, *(text for row in rows for text in strange(row))),
        remedy=remedy,
    )


def _kind(run: Run) -> str:
    """Return what tables share that a reader could take for each other."""
    suite = run.result.suite
    return benchmark(run) if suite is None else suite.name  # other versions of it are near


def _order(row: Row) -> tuple[bool, float, float, str, str]:
    rate = row.copy_rate
    low, high = (rate.estimate, rate.high) if rate else (0.0, 0.0)
    return rate is None, low, high, row.name, row.runs[0].digest
