"""`memtk leaderboard`: a site from result files."""

from __future__ import annotations

from pathlib import Path

import click

from memtk.cli.command import Command
from memtk.cli.options import out_option
from memtk.cli.terminal import open_terminal
from memtk.errors import UserError


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@out_option("Folder of the site. [default: leaderboard, if no other output is asked for]", "SITE")
@click.option(
    "--markdown", "text", type=click.Path(path_type=Path), metavar="FILE", help="Tables as text."
)
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), metavar="FILE", help="Numbers, a line each."
)
@click.option(
    "--with-pictures",
    is_flag=True,
    help="Copy the reports beside the results into the site too. They show images of training "
    "patients, up to 60 a run: are these public, and may they be shown?",
)
def leaderboard(
    folder: Path, out: Path | None, text: Path | None, table: Path | None, with_pictures: bool
) -> None:
    """Make tables of every result.json in DIR and below: a site, Markdown, CSV.

    The site is a folder of pages that work offline, and shows no picture of a patient unless
    --with-pictures is said. What is not valid is named and left out. What
    cannot be compared (suite, images, sizes, embedder, levels, schema) is kept apart and says why.
    A setting that a file is too old to name stands for its default, if the component is installed.
    Rows are ordered by copy rate; a rank is a range where intervals overlap. What a rank rests on
    is computed again from the arrays.h5 beside each result: without it, or without the planted
    copies in it, there is no rank, and a file that says something else is refused. The same results
    give the same bytes.

    \b
    Examples:
      memtk leaderboard runs/
      memtk leaderboard benchmarks/results --markdown benchmarks/LEADERBOARD.md
    """
    from memtk.console import marked
    from memtk.errors import many
    from memtk.files import check_output, write_output
    from memtk.leaderboard import (
        collect,
        completed,
        make_boards,
        markdown,
        recomputed,
        spreadsheet,
        write_site,
    )
    from memtk.leaderboard.site import is_markdown, is_spreadsheet

    for path, ours in ((text, is_markdown), (table, is_spreadsheet)):
        if path is not None:
            check_output(path, ours)
    terminal = open_terminal()
    aside = terminal.aside
    with terminal.progress() as watch:
        collection = completed(collect(folder, watch), terminal.registry)
        collection = recomputed(collection, watch)
    for refused in collection.refused:
        aside.print(marked("refused:", "yellow", f"{refused.name}: {refused.reason}"))
    if not collection.runs:
        raise UserError(
            f"no result in {folder} is valid, so nothing is written: what is wrong with each is "
            "said above"
        )
    boards = make_boards(collection.runs)
    said = [(board.benchmark, caution) for board in boards for caution in board.cautions]
    for benchmark, caution in dict.fromkeys(said):  # tables of one benchmark lack the same
        aside.print(marked(f"{benchmark}:", "yellow", caution))
    if text is not None:
        write_output(text, markdown(boards, collection.refused), is_markdown)
        click.echo(f"tables: {text}")
    if table is not None:
        write_output(table, spreadsheet(boards), is_spreadsheet)
        click.echo(f"numbers: {table}")
    if out is not None or (text is None and table is None):
        page = write_site(collection, out or Path("leaderboard"), with_pictures=with_pictures)
        click.echo(f"site: {page}")
        reports = sum(run.report is not None for run in collection.runs)
        if reports and not with_pictures:
            aside.print(
                f"{many(reports, 'report')} left out, with pictures of training images: "
                "--with-pictures takes them along"
            )
