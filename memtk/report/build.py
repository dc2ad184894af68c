"""Makes the report of a run: one HTML file that works offline."""

from __future__ import annotations

from pathlib import Path

from memtk.errors import UserError
from memtk.files import write_text
from memtk.registry import Registry
from memtk.report.audit import make_audit_page
from memtk.report.cell import Cell, make_cell
from memtk.report.comparison import make_comparison
from memtk.report.identity import read_key
from memtk.report.provenance import repeat_audit, repeat_command
from memtk.report.rendering import render
from memtk.results import Run, read_audit, read_run, read_run_file

AUDIT = "audit.json"
"""The file of an audit in its run folder."""


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
    page = render(
        "page.html",
        title=_title(cells),
        lead=_lead(run),
        cells=cells,
        comparison=make_comparison(run.results),
        missing=run.missing,
        command=repeat_command(run.file.recipe),
        fdr=run.results[0].last.protocols.conformal.fdr,
    )
    return _write(run.folder, page)


def build_audit_report(folder: Path, registry: Registry | None = None) -> Path:
    """Write `folder/report.html` and return its path.

    The page shows pictures of training images, but no file name and no patient number; of an audit
    of embeddings it shows no pictures. The same audit gives the same bytes.

    Args:
        folder: as `memtk audit` leaves it.
        registry: brings the report sections of plugins; None leaves them out.

    Raises:
        UserError: if the audit is not finished, or a file is damaged, naming it.
    """
    folder = Path(folder)
    file = read_run_file(folder)
    audit = read_audit(folder / AUDIT)
    page = make_audit_page(folder, audit, read_key(folder), registry)
    html = render(
        "audit.html",
        title="May these synthetic images be released?",
        page=page,
        created=file.created,
        command=repeat_audit(file.recipe, audit.policy),
        fdr=audit.protocols.conformal.fdr,
    )
    return _write(folder, html)


def _write(folder: Path, page: str) -> Path:
    path = folder / "report.html"
    write_text(path, page)
    return path


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
