"""The leaderboard as a folder of pages that work offline."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from markupsafe import Markup

from memtk import __version__
from memtk.files import replacing, write_text
from memtk.folders import claim, remove, sweep
from memtk.leaderboard.boards import Board, command, conditions, make_boards
from memtk.leaderboard.collection import Collection, Run
from memtk.leaderboard.columns import FOLDED, OWN, columns_of, copy_rate, exposed, shown
from memtk.leaderboard.rows import make_rows
from memtk.leaderboard.tables import LEAD, RULES, markdown, spreadsheet
from memtk.report.page import open_templates, style
from memtk.report.provenance import provenance_of
from memtk.results import Result
from memtk.results.answer import headline
from memtk.results.collect import REPORT
from memtk.results.measures import Measured, main_measures, measures_of, named_measures
from memtk.results.validate import FILE
from memtk.results.verdicts import verdict

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
        report = run.report if with_pictures else None
        write_text(folder / INDEX, run_page(run, report=REPORT if report else ""))
        _copy(run.path, folder / FILE)
        if report is not None:
            _copy(report, folder / REPORT)
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
        rules=RULES,
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


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


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
