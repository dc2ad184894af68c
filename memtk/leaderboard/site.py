"""The leaderboard as a folder of pages that work offline, as Markdown and as CSV."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup

from memtk import __version__
from memtk.errors import many
from memtk.files import copy_file, write_text
from memtk.folders import claim, remove, sweep
from memtk.leaderboard.boards import Board, command, conditions, make_boards
from memtk.leaderboard.collection import Collection, Refused, Run
from memtk.leaderboard.columns import FOLDED, OWN, columns_of, copy_rate, exposed, shown
from memtk.leaderboard.rows import Rank, Row, make_rows
from memtk.report.counts import ABOUT
from memtk.report.page import open_templates, style
from memtk.report.provenance import provenance_of
from memtk.results import Result
from memtk.results.answer import headline
from memtk.results.collect import REPORT
from memtk.results.formats import listed
from memtk.results.measures import Measured, main_measures, measures_of, named_measures
from memtk.results.store import csv_text
from memtk.results.validate import FILE
from memtk.results.verdicts import verdict
from memtk.suites import suite_names

INDEX, TEXT, TABLE, RUNS = "index.html", "LEADERBOARD.md", "leaderboard.csv", "runs"


def write_site(collection: Collection, out: Path, *, with_pictures: bool = False) -> Path:
    """Write the site and return its first page. The same results give the same bytes.

    `index.html` with every table, `runs/ID/index.html` with the numbers of a run and its
    `result.json`; `LEADERBOARD.md` and `leaderboard.csv`. What an earlier call left of `runs` is
    removed.

    Args:
        with_pictures: copy the reports that lie beside results too, as they are. They show
            training images, and are whatever their authors made of them.

    Raises:
        UserError: if the folder holds something else, or cannot be written.
    """
    boards = make_boards(collection.runs)
    _clear(Path(out))
    for run in collection.runs:
        folder = Path(out) / RUNS / run.id
        if folder.is_symlink():  # where it leads, something else may lie
            folder.unlink()
        report = run.report if with_pictures else None
        write_text(folder / INDEX, run_page(run, report=REPORT if report else ""))
        copy_file(run.path, folder / FILE)
        if report is not None:
            copy_file(report, folder / REPORT)
    write_text(Path(out) / TEXT, markdown(boards, collection.refused))
    write_text(Path(out) / TABLE, spreadsheet(boards))
    write_text(Path(out) / INDEX, index_page(boards, collection))
    return Path(out) / INDEX


def index_page(boards: list[Board], collection: Collection) -> str:
    """Return the page with every table."""
    groups = {column.group for board in boards for column in board.columns}
    return render(
        "index.html",
        title="Leaderboard",
        boards=boards,
        refused=collection.refused,
        suites=sorted({board.suite for board in boards}),
        dims=sorted({board.dims for board in boards}),
        protocols=sorted(groups - {*OWN}),
        own=OWN,
        folded=[pair for pair in FOLDED.items() if pair[0] in groups],
        runs=len(collection.runs),
        lead=LEAD,
        rules=_rules(boards),
        shown=shown,
        copy_rate=copy_rate,
        exposed=exposed,
        up="",
    )


def run_page(run: Run, report: str = "") -> str:
    """Return the page of one run: its numbers, where they come from, how to repeat them.

    Args:
        report: the file beside it with the run's report; empty for none.
    """
    result = run.result
    [row] = make_rows([run])
    suite = result.suite.model_dump() if result.suite else None
    asked = command({"suite": suite, **result.request}) if result.request else ""
    return render(
        "run.html",
        title=f"{row.name}, seed {result.seed}",
        result=result,
        verdict=verdict(result),
        headline=headline(result),
        row=row,
        conditions=conditions(run),
        columns=columns_of([row]),
        measures=_shown(result),
        checkpoints=[(c, {m.name: m for m in measures_of(result, c)}) for c in result.evaluated],
        shown=shown,
        copy_rate=copy_rate,
        exposed=exposed,
        provenance=provenance_of(result),
        asked=asked,
        report=report,
        file=FILE,
        up="../../",
    )


def _shown(result: Result) -> list[Measured]:
    """Return what the table of checkpoints shows: what the verdict rests on, and main measures."""
    known = named_measures((result, c) for c in result.evaluated).values()
    return [m for m in known if not m.protocol] + main_measures(known)


def _clear(out: Path) -> None:
    """Make the folder, or empty it of an earlier site."""
    claim(out, "leaderboard")
    sweep(out)
    remove(out, [RUNS])


_HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return a page. What a template does not find among the values is an error.

    Results come from strangers: all text is escaped, and the page's policy forbids the browser to
    load anything or to run any script but ours.
    """
    css = style() + Markup((_HERE / "site.css").read_text(encoding="utf-8"))
    script = (_HERE / "site.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = open_templates(_HERE)
    environment.filters["breakable"] = breakable
    return environment.get_template(template).render(
        css=css,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        version=__version__,
        **values,
    )


def breakable(name: str) -> Markup:
    """Let a long name be broken where its parts meet, and nowhere else.

    >>> str(breakable("fid[ntxent2d]"))
    'fid<wbr>[ntxent2d]'
    """
    return Markup("<wbr>").join(re.split(r"(?<=[-+.,])|(?=\[)", name))


MADE = "<!-- made by `memtk leaderboard`; add results instead of changing it -->"

LEAD = (
    "Which generative models of medical images give back the patients they were trained on? The "
    "copy rate says it: the share of a model's synthetic images that are copies of training "
    "images; lower is better, and it is 0% if nothing is copied. Exposed are the patients whose "
    "images came out again."
)

RULES = (
    "A low copy rate is no proof of safety: it holds for these images, this embedder and these "
    "sizes.",
    "Ranks go by the copy rate. Where intervals overlap, places are shared: 1–3.",
    "Controls, whose truth is known, show that a table measures right. They have no rank.",
    "No rank either: images unlike the data, which cannot be copies, and files whose arrays do not "
    "give the copy rate again.",
    f"dar: {ABOUT['dar']}.",
    f"conformal: {ABOUT['conformal']}.",
    "Time: of all stages of a run, with the training of its embedder.",
    "Of several seeds: the mean, the outermost ends of their intervals, the gravest verdict.",
)


def markdown(boards: Sequence[Board], refused: Iterable[Refused] = ()) -> str:
    """Return the tables, one below the other; the same tables give the same text."""
    parts = [MADE, "# Leaderboard", LEAD, "\n".join(f"- {_text(rule)}" for rule in _rules(boards))]
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


def _rules(boards: Sequence[Board]) -> list[str]:
    """Return how to read the tables, and of which suites none has a row."""
    filled, known = {board.suite for board in boards}, suite_names()
    empty = [name for name in known if name not in filled]
    if not empty or len(empty) == len(known):
        return [*RULES]
    first = f"memtk bench --suite {empty[0]} makes one, or says what it lacks."
    return [*RULES, f"Suites without a row yet: {listed(empty)}. {first}"]


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
    names = [*_FIXED, *(f"{k}{end}" for k in keys for end in ("", " min", " max", " null"))]
    lines = [
        _numbers(board, row, rank)
        for board in boards
        for row, rank in zip(board.rows, board.ranks, strict=True)
    ]
    cells = ([line.get(name, "") for name in names] for line in lines)
    return csv_text(names, cells, safe=True)


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
    line = dict(zip(_FIXED, values, strict=True))
    for column in board.columns:
        if found := row.values(column.value):
            line |= {column.key: fmean(found), f"{column.key} min": min(found)}
            line[f"{column.key} max"] = max(found)
        if nulls := row.values(column.other):
            line[f"{column.key} null"] = fmean(nulls)
    return line
