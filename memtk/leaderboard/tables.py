"""The leaderboard as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from statistics import fmean

from memtk.leaderboard.boards import Board
from memtk.leaderboard.collection import Refused
from memtk.leaderboard.columns import OWN, copy_rate, exposed, shown
from memtk.leaderboard.rows import Rank, Row
from memtk.results.formats import many
from memtk.results.store import inert

MADE = "<!-- made by `memtk leaderboard`; add results instead of changing it -->"

LEAD = (
    "Which generative models of medical images give back the patients they were trained on? The "
    "copy rate says it: the share of a model's synthetic images that are copies of training "
    "images; lower is better, and chance gives 0 %."
)

RULES = (
    "A low copy rate is no proof of safety: it holds for these images, this embedder and these "
    "sizes.",
    "Ranks go by the copy rate. Where intervals overlap, places are shared: 1–3.",
    "Controls, whose truth is known, show that a table measures right. They have no rank.",
    "No rank either: images unlike the data, which cannot be copies, and files whose arrays do not "
    "give the copy rate again.",
    "Of several seeds: the mean, the outermost ends of their intervals, the gravest verdict.",
)


def markdown(boards: Sequence[Board], refused: Iterable[Refused] = ()) -> str:
    """Return the tables, one below the other; the same tables give the same text."""
    parts = [MADE, "# Leaderboard", LEAD, "\n".join(f"- {rule}" for rule in RULES)]
    shared = _shared(boards)
    if shared:
        parts.append(f"All tables share: {_listed(shared)}.")
    last = ""
    for board in boards:
        if board.heading != last:
            parts.append(f"## {_text(board.heading)}")
        last = board.heading
        parts += [f"### {_text(board.title)}", _text(board.answer)]
        parts += [f"> {_text(caution)}" for caution in board.cautions]
        parts.append(_table(board))
        said = [f"{_raised(n)} {_text(note)}" for n, (note, _) in enumerate(board.notes, 1)]
        parts += ["; ".join(said) + "."] if said else []
        own = {k: v for k, v in board.conditions.items() if k not in (*shared, *_IN_HEADINGS)}
        parts += [f"In common: {_listed(own)}."] if own else []
        parts += [f"Kept apart from its neighbours by {board.apart_by}."] if board.reasons else []
    names = [f"- {_text(r.name)}: {_text(r.reason)}" for r in refused]
    if names:
        parts += [f"## {many(len(names), 'file')} refused", "\n".join(names)]
    return "\n\n".join(parts) + "\n"


_IN_HEADINGS = ("benchmark", "images", "sizes")


def _shared(boards: Sequence[Board]) -> dict[str, str]:
    """Return the conditions that are the same in all tables."""
    every = [board.conditions.items() for board in boards]
    return dict(item for item in (every[0] if every else ()) if all(item in each for each in every))


def _listed(conditions: dict[str, str]) -> str:
    return "; ".join(f"{name} {_text(value)}" for name, value in conditions.items())


def _table(board: Board) -> str:
    heads = [
        "rank",
        "generator",
        "mitigations",
        "verdict",
        "copy rate",
        "interval",
        "exposed patients",
    ]
    # a protocol's numbers share no column with another's
    heads += [c.label if c.group in OWN else f"{c.group}: {c.label}" for c in board.columns]
    heads += ["seeds", "package"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row, rank in zip(board.rows, board.ranks, strict=True):
        lines.append(_line(_cells(board, row, rank)))
    return "\n".join(lines)


def _cells(board: Board, row: Row, rank: Rank | None) -> list[str]:
    used, rate, people = row.generator, copy_rate(row), exposed(row)
    name = used.name + ",".join(
        _raised(n) for n, (_, rows) in enumerate(board.notes, 1) if row in rows
    )
    place = f"control: {row.truth}" if row.truth else "no rank" if rank is None else str(rank)
    numbers = []
    for column in board.columns:
        said = shown(column, row)
        numbers.append(f"{said.text} ({said.note})" if said.note else said.text)
    package = f"{used.distribution} {used.version}"
    verdict = f"{row.verdict.title}: {row.why}" if row.why else row.verdict.title
    return [
        *(place, name, row.mitigations or "–", verdict, rate.text, rate.note),
        f"{people.text} {people.note}" if row.exposed else people.note,
        *(*numbers, row.seeds, package),
    ]


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(text: str) -> str:
    """Keep a text of a file from being read as markup."""
    for sign in "\\`|<>*_[]#~$&":
        text = text.replace(sign, f"\\{sign}")
    text = text.replace("://", ":\\/\\/").replace("www.", "www\\.").replace("@", "(at)")
    return " ".join(text.split())


def is_markdown(text: str) -> bool:
    """Tell whether a file of this text is one that `markdown` made."""
    return text.startswith(MADE)


def is_spreadsheet(text: str) -> bool:
    """Tell whether a file of this text is one that `spreadsheet` made."""
    return text.startswith(f"{','.join(_FIXED[:4])},")


_FIXED = (
    *("table", "benchmark", "images", "dims", "N", "M", "V", "embedder", "similarity"),
    *("generator", "package", "version", "mitigations", "remarks", "preset", "truth"),
    *("rank_best", "rank_worst", "copy_rate", "copy_rate_low", "copy_rate_high"),
    "copy_rate_note",
    *("exposed_low", "exposed_high", "training_patients", "seeds", "verdict"),
)


def spreadsheet(boards: Sequence[Board]) -> str:
    """Return every entry of every table; "table" tells which may be compared.

    Shares are fractions. Of each number there is the mean over the seeds, and the lowest and the
    highest in columns of their own, and what it is compared with: chance, or real images. What is
    not known is empty.
    """
    keys = list(dict.fromkeys(column.key for board in boards for column in board.columns))
    names = [f"{inert(key)}{end}" for key in keys for end in ("", " min", " max", " null")]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIXED, *names], restval="", lineterminator="\n")
    writer.writeheader()
    for board in boards:
        for row, rank in zip(board.rows, board.ranks, strict=True):
            writer.writerow(_numbers(board, row, rank))
    return text.getvalue()


def _numbers(board: Board, row: Row, rank: Rank | None) -> dict[str, object]:
    result, rate, used = row.runs[0].result, row.copy_rate, row.generator
    people = row.exposed
    values: list[object] = [
        *(board.key, board.benchmark, board.images, board.dims, result.used_training.images),
        *(result.last.n_synthetic, result.data.counts["validation"].images),
        *(board.conditions["embedder"], board.conditions["similarity"]),
        *(used.name, used.distribution, used.version, row.mitigations, row.remarks),
        *(row.presets, row.truth),
        *((rank.best, rank.worst) if rank else ("", "")),
        *((rate.estimate, rate.low, rate.high) if rate else ("", "", "")),
        "; ".join(copy_rate(row).notes[1:]) if rate else "",
        *((people.low, people.high) if people else ("", "")),
        *(result.used_training.patients, row.seeds, row.verdict.kind),
    ]
    line = {
        name: inert(value) if isinstance(value, str) else value
        for name, value in zip(_FIXED, values, strict=True)
    }
    for column in board.columns:
        found = row.values(column.value)
        if found:
            line[inert(column.key)] = fmean(found)
            low, high = (f"{inert(column.key)} {end}" for end in ("min", "max"))
            line[low], line[high] = min(found), max(found)
        if nulls := row.values(column.other):
            line[f"{inert(column.key)} null"] = fmean(nulls)
    return line
