"""`memtk leaderboard`: a site from result files."""

from __future__ import annotations

from pathlib import Path

import click

from memtk.cli.options import out_option
from memtk.cli.terminal import open_terminal
from memtk.errors import UserError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@out_option("Folder of the site. [default: leaderboard, if no other output is asked for]", "SITE")
@click.option(
    "--markdown", "text", type=click.Path(path_type=Path), metavar="FILE", help="Tables as text."
)
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), metavar="FILE", help="Numbers, a line each."
)
def leaderboard(folder: Path, out: Path | None, text: Path | None, table: Path | None) -> None:
    """Make tables of every result.json in DIR and below: a site, Markdown, CSV.

    The site is a folder of pages that work offline. What is not valid is named and left out. What
    cannot be compared (suite, images, sizes, embedder, levels, schema) is kept apart and says why.
    A setting that a file is too old to name stands for its default, if the component is installed.
    Rows are ordered by copy rate; a rank is a range where intervals overlap. The same results give
    the same bytes.

    \b
    Examples:
      memtk leaderboard runs/
      memtk leaderboard benchmarks/results --markdown benchmarks/LEADERBOARD.md
    """
    from memtk.files import write_text
    from memtk.leaderboard import (
        collect,
        completed,
        make_boards,
        markdown,
        spreadsheet,
        write_site,
    )

    terminal = open_terminal()
    collection, aside = completed(collect(folder), terminal.registry), terminal.aside
    for refused in collection.refused:
        aside.print(f"[yellow]refused:[/] {refused.name}: {refused.reason}", highlight=False)
    if not collection.runs:
        raise UserError(
            f"no result in {folder} is valid, so nothing is written: "
            "`memtk results validate` says what is wrong with each"
        )
    boards = make_boards(collection.runs)
    for board in boards:
        for caution in board.cautions:
            aside.print(f"[yellow]{board.benchmark}:[/] {caution}", highlight=False)
    if text is not None:
        write_text(text, markdown(boards, collection.refused))
        click.echo(f"tables: {text}")
    if table is not None:
        write_text(table, spreadsheet(boards))
        click.echo(f"numbers: {table}")
    if out is not None or (text is None and table is None):
        click.echo(f"site: {write_site(collection, out or Path('leaderboard'))}")
