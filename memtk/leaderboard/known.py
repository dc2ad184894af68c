"""Rows of known truth: without them nobody can tell whether a table measures anything."""

from __future__ import annotations

from collections.abc import Sequence

from memtk.leaderboard.row import CONTROLS, Row
from memtk.report.provenance import repeat_command
from memtk.results import Result
from memtk.results.formats import share


def missing(rows: Sequence[Row]) -> tuple[list[str], str]:
    """Return which controls a table lacks, in words, and the command that adds them."""
    there = {row.generator.name for row in rows if row.truth}
    absent = [name for name in CONTROLS if name not in there]
    if not absent:
        return [], ""
    names = " and ".join(absent)
    are = "are" if len(absent) > 1 else "is"
    text = (
        f"{names} {are} missing: without rows of known truth nobody can tell whether this table "
        "measures anything. This command makes them, and memtk results add RUN DIR adds them."
    )
    return [text], _command(rows, absent)


def strange(row: Row) -> list[str]:
    """Return, in words, that a control does not score as it must."""
    rate = row.copy_rate
    if not row.truth or rate is None:
        return []
    wrong = rate.high < 0.9 if row.generator.name == "copycat" else rate.low > 0.05
    if not wrong:
        return []
    return [
        f"{row.name} must have a copy rate of {row.truth} and has {share(rate.low)} to "
        f"{share(rate.high)}: do not trust this table."
    ]


def _command(rows: Sequence[Row], generators: Sequence[str]) -> str:
    result = rows[0].runs[0].result
    asked = result.request or {}
    parts = result.components
    bench = dict(asked.get("bench", {}))
    bench |= {
        "generator": generators,
        "preset": result.preset,
        "similarity": parts.similarity.name,
        "mitigation": [m.name for m in parts.mitigations] if _chosen(result) else [],
        "quality": [q.name for q in parts.quality],
        "seed": result.seed,
    }
    bench |= {"embedder": parts.embedder.name} if parts.embedder else {}
    data = asked.get("data", {"source": "(not shown)"})
    suite = result.suite.model_dump() if result.suite else None
    shared = {"embedder", parts.similarity.name, bench.get("embedder")}
    settings = {k: v for k, v in asked.get("settings", {}).items() if k in shared}
    return command({"suite": suite, "bench": bench, "data": data, "settings": settings})


def command(recipe: dict[str, object]) -> str:
    """Return a `memtk bench` command; what a file hides is left for the reader to fill in."""
    return repeat_command(recipe).replace("'(not shown)'", "...")


def _chosen(result: Result) -> bool:
    """Tell whether mitigations left training images out, as the controls must then do too."""
    return result.used_training != result.data.counts["training"]
