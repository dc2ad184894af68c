"""A table of the leaderboard: entries that can be compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtk.config import differing
from memtk.errors import many
from memtk.leaderboard.collection import Run
from memtk.leaderboard.columns import Column, columns_of
from memtk.leaderboard.rows import Rank, Row, make_rows, ranks
from memtk.report.provenance import repeat_command
from memtk.results import Result, Used
from memtk.results.answer import CONTROLS, misses_truth
from memtk.results.collect import key_of
from memtk.results.formats import ends, listed, share


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
        rows: in the order of their copy rate; those without a rank last.
        ranks: of the rows; None of rows of known truth, of those whose images are unlike the data,
            and of those without a copy rate or without arrays that give it.
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
    def answer(self) -> str:
        """Which row gives back the fewest copies, and which cannot be told apart from it."""
        ranked = zip(self.rows, self.ranks, strict=True)
        best = [row for row, rank in ranked if rank and rank.best == 1]
        rate = best[0].copy_rate if best else None
        if rate is None:
            return f"No row has a rank: {self._unranked}."
        fewest = f"{best[0].name} gives back the fewest copies, {share(rate.estimate)}"
        if sum(rank is not None for rank in self.ranks) == 1:
            fewest = f"{best[0].name} alone has a rank: {share(rate.estimate)} are copies"
        if len(best) > 1:
            names = [row.name for row in best]
            names = names if len(best) < 4 else [names[0], many(len(best) - 1, "other row")]
            rates = [row.copy_rate.estimate for row in best if row.copy_rate]
            low, high = min(rates), max(rates)
            fewest = f"{listed(names)} give back the fewest copies, {ends(low, high)}, and cannot "
            fewest += "be told apart"
        fewest += "."
        grave = [row.name for row in best if row.verdict.kind == "memorized"]
        return f"{fewest} Memorized all the same: {', '.join(grave)}." if grave else fewest

    @property
    def _unranked(self) -> str:
        """Why no row has a rank, and what would give one."""
        rows = [row for row in self.rows if not row.truth]
        unproven = [row for row in rows if row.unproven]
        unlike = [row for row in rows if row.unlike and not row.unproven]
        said = []
        if unproven:
            said.append(
                f"the files of {many(len(unproven), 'entry')} lack what proves a copy rate, arrays "
                "with planted copies, which an older memtk did not keep (bench again for a rank)"
            )
        if unlike:
            said.append(
                f"the images of {many(len(unlike), 'entry')} are unlike the data and cannot be "
                "copies (train until they look real for a rank)"
            )
        if rest := len(rows) - len(unproven) - len(unlike):
            said.append(f"{many(rest, 'entry')} without a copy rate (bench again for a rank)")
        return "; ".join(said) or "only controls are here; bench a generator beside them"

    @property
    def apart_by(self) -> str:
        """What keeps it apart from tables that it could be taken for; empty for nothing."""
        return ", ".join(reason.partition(":")[0] for reason in self.reasons)

    @property
    def notes(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """What must be known of some rows, each once, with these rows."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            for note in row.notes:
                found.setdefault(note, []).append(row)
        return tuple((note, tuple(rows)) for note, rows in found.items())

    @property
    def title(self) -> str:
        """What tells it from others, in a line."""
        embedder = self.conditions["embedder"].partition(" of ")[0].partition(":")[0]
        presets = ", ".join(sorted({run.result.preset for row in self.rows for run in row.runs}))
        images = self.conditions["images"].partition(", fingerprint")[0]
        patients = self.conditions["patients"]
        sizes = f"{self.conditions['sizes']} ({patients} patients)"
        return f"{images} · {sizes} · embedder {embedder} · preset {presets}"


def make_boards(runs: Sequence[Run]) -> list[Board]:
    """Sort runs into tables: what cannot be compared is kept apart, and says why.

    Rows of known truth stand in the order of all others but have no rank. The order of the runs
    does not matter.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.digest):
        groups.setdefault(tuple(conditions(run).values()), []).append(run)
    firsts = [found[0] for _, found in sorted(groups.items())]
    boards = [_board(found, firsts) for _, found in sorted(groups.items())]
    return sorted(boards, key=lambda board: board.suite == "own data")  # suites first


def _board(runs: Sequence[Run], firsts: Sequence[Run]) -> Board:
    first = runs[0]
    others = [run for run in firsts if run is not first and _kind(run) == _kind(first)]
    rows = sorted(make_rows(runs), key=_order)
    ranked = iter(ranks([row.copy_rate for row in rows if _has_rank(row)]))
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
        ranks=tuple(next(ranked) if _has_rank(row) else None for row in rows),
        columns=tuple(columns_of(rows)),
        cautions=(*absent, *(text for row in rows for text in strange(row))),
        remedy=remedy,
    )


def _has_rank(row: Row) -> bool:
    """Tell whether a row is ranked.

    Its numbers follow from its arrays, its images resemble the data, and it is no control.
    """
    return not (row.truth or row.unranked)


def _kind(run: Run) -> str:
    """Return what tables share that a reader could take for each other."""
    suite = run.result.suite
    return benchmark(run) if suite is None else suite.name  # other versions of it are near


def _order(row: Row) -> tuple[bool, bool, float, float, str, str]:
    rate = row.copy_rate
    low, high = (rate.estimate, rate.high) if rate else (0.0, 0.0)
    return row.unranked, rate is None, low, high, row.name, row.runs[0].digest


def benchmark(run: Run) -> str:
    """Return the name of what was benched: a suite with its version, or somebody's own data."""
    suite = run.result.suite
    if suite is not None:
        return f"{suite.name}, version {suite.version}"
    return f"own data, {run.result.data.fingerprint[:8]}"


def dims(run: Run) -> str:
    """Return "2D" or "3D"."""
    return f"{len(run.result.data.spec.shape)}D"


def conditions(run: Run) -> dict[str, str]:
    """Return all that a table's numbers have in common, by what it is.

    The preset is not among them: it changes the generator, which is the entry's own, and the sizes
    and the embedder, which are here.
    """
    result = run.result
    spec, test = result.data.spec, result.last.evidence
    drawn = result.checkpoints[-1].n_synthetic  # a mitigation may let fewer of them out
    counts, seen = result.data.counts["validation"], result.used_training
    shape = " × ".join(map(str, spec.shape))
    channels = f", {spec.channels} channels" if spec.channels > 1 else ""
    saw = result.embedder_trained_on
    confidence = "none" if test.confidence is None else f"{test.confidence:.0%}"
    return {
        "benchmark": benchmark(run),
        "images": f"{dims(run)}, {shape}{channels}, fingerprint {result.data.fingerprint[:12]}",
        "sizes": f"{seen.images} training, {drawn} synthetic, {counts.images} validation images",
        "patients": f"{seen.patients} training, {counts.patients} validation",
        "embedder": _component(result.components.embedder) or "none: the images themselves",
        "embedder trained on": "nothing" if saw is None else f"{saw.copies} images",
        "similarity": _component(result.components.similarity),
        "levels": f"alpha {test.alpha:g}, false discovery rate {test.fdr:g}, "
        f"intervals of {confidence}",
        "who is named": "by ranks (an older memtk)"
        if test.copies is None
        else "by how far beyond strangers they lie",
        "copies planted": "no, the copy rate is not corrected by them"
        if result.selftest is None
        else "yes, the copy rate is corrected by what readers found"
        if test.by_readers
        else "yes, the copy rate is corrected by them",
        "schema of the files": str(run.schema),
    }


def apart(here: Run, elsewhere: list[Run]) -> list[str]:
    """Return why a table stands apart from others of its kind, a sentence each, by a run each."""
    own, reasons = conditions(here), []
    others = [conditions(run) for run in elsewhere]
    for name, value in own.items():
        different = sorted({other[name] for other in others} - {value})
        if not different:
            continue
        more = f" and {len(different) - 2} more" if len(different) > 2 else ""
        text = f"{name}: {value} here, {' or '.join(different[:2])}{more} elsewhere"
        if name == "embedder":
            text += _settings_apart(here, elsewhere)
        reasons.append(text)
    return reasons


def _settings_apart(here: Run, elsewhere: list[Run]) -> str:
    own = here.result.components.embedder
    keys: set[str] = set()
    for run in elsewhere:
        other = run.result.components.embedder
        if own and other and own.name == other.name:
            keys |= {key for key, _, _ in differing(own.config, other.config)}
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return f" ({', '.join(sorted(keys)[:4])}{more})" if keys else ""


def _component(used: Used | None) -> str:
    if used is None:
        return ""
    settings = f", settings {key_of(used.config)}" if used.config else ""
    return f"{used.name} of {used.distribution} {used.version}{settings}"


SHOWS = {"copycat": "finds copies", "independent": "finds none where there are none"}
"""What each control is there for."""


def missing(rows: Sequence[Row]) -> tuple[list[str], str]:
    """Return which controls a table lacks, in words, and the command that adds them."""
    there = {row.generator.name for row in rows if row.truth}
    absent = [name for name in CONTROLS if name not in there]
    if not absent:
        return [], ""
    noun = "controls" if len(absent) > 1 else "control"
    shows = " and ".join(SHOWS[name] for name in absent)
    text = f"It lacks the {noun} {' and '.join(absent)}: nothing shows that it {shows}."
    if "independent" in absent and not _holds_back(rows[0].runs[0].result):
        text += (
            " independent takes as many held-out images as there are samples; these data lack them."
        )
        absent.remove("independent")
    return [text], _command_for(rows, absent) if absent else ""


def _holds_back(result: Result) -> bool:
    """Tell whether the control `independent` can be run on the same images."""
    held_out = result.data.counts.get("held_out")
    drawn = result.checkpoints[-1].n_synthetic
    return result.suite is not None or (held_out is not None and held_out.images >= drawn)


def strange(row: Row) -> list[str]:
    """Return, in words, that a control does not score as it must."""
    rate = row.copy_rate
    if not row.truth or rate is None or not misses_truth(row.generator, rate.low, rate.high):
        return []
    return [
        f"{row.name} must have a copy rate of {row.truth} and has {share(rate.low)} to "
        f"{share(rate.high)}: do not trust this table."
    ]


def _command_for(rows: Sequence[Row], generators: Sequence[str]) -> str:
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
