"""Makes the report of a run: one HTML file that works offline."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from memtk import __version__
from memtk.atomic import write_text
from memtk.errors import UserError
from memtk.registry import Registry
from memtk.report.cell import Cell, make_cell
from memtk.report.command import repeat_command
from memtk.report.identity import read_key
from memtk.results import Run, percent, read_run

_HERE = Path(__file__).parent


def build_report(run_folder: Path, registry: Registry | None = None) -> Path:
    """Write `run_folder/report.html` and return its path.

    The page shows pictures of training images, but no file name and no patient number. The same
    run gives the same bytes.

    Args:
        run_folder: as `memtk bench` leaves it; cells that are not finished are named as such.
        registry: brings the report sections of plugins; None leaves them out.

    Raises:
        UserError: if it is no run folder, no cell is finished, or a file is damaged, naming it.
    """
    run = read_run(run_folder)
    if not run.results:
        raise UserError(
            f"no cell of {run_folder} is finished, so there is nothing to report: "
            "run the same memtk bench command again"
        )
    key = read_key(run.folder)
    cells = [make_cell(run.folder, result, key, registry) for result in run.results]
    path = run.folder / "report.html"
    write_text(path, _render(run, cells))
    return path


def _render(run: Run, cells: list[Cell]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: _unbroken(percent(share))
    environment.filters["unbroken"] = _unbroken
    return environment.get_template("page.html").render(
        title=_title(cells),
        lead=_lead(run),
        css=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        cells=cells,
        missing=run.missing,
        command=repeat_command(run.file.recipe),
        version=__version__,
    )


def _unbroken(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\u00a0%")


def _title(cells: list[Cell]) -> str:
    if len(cells) == 1:
        return f"Has {cells[0].result.cell} memorized its training images?"
    return "Which generators have memorized their training images?"


def _lead(run: Run) -> str:
    first = run.results[0]
    counts, spec = first.data.counts, first.data.spec
    size = " × ".join(map(str, spec.shape))
    parts = [
        f"{counts[split].images} {split} images of {counts[split].patients} patients"
        for split in ("training", "validation")
    ]
    suite = f"suite {first.suite.name} {first.suite.version}" if first.suite else "own data"
    return f"{suite}: {', '.join(parts)}, {size} voxels; run begun {run.file.created}"
