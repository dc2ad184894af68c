"""How a command begins and ends: the plugins, what is printed where, the exit status."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtk.errors import UserError
from memtk.outputs import alone_on_stdout

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status
    from rich.table import Table

    from memtk.progress import Progress
    from memtk.registry import Registry

STDOUT = "memtk.stdout"
"""Where a command with `--json -` keeps the standard output, which is for JSON alone."""

EXITS = {"pass": 0, "fail": 3, "inconclusive": 4}
"""Exit status by outcome of an audit."""


@dataclass(frozen=True)
class Terminal:
    """What a command works with: plugins, where results are printed, and stderr for all else."""

    registry: Registry
    found: Console
    aside: Console

    def loading(self, what: str = "torch, MONAI and the plugins") -> Status:
        """Show that imports go on, which take seconds."""
        return self.aside.status(f"loading {what}")

    def progress(self) -> Progress:
        """Return bars, and plugins that watch with them."""
        from memtk.progress import Progress

        return Progress(self.aside, self.registry.host)

    def end(self, shown: RenderableType, report: Path | None = None) -> None:
        """Print what was found, and where the page lies."""
        self.found.print(shown, crop=False)
        if report is not None:
            self.say(f"report: {report}")

    def say(self, text: str) -> None:
        """Print a line that is never folded, so that what it names can be copied."""
        self.found.print(text, soft_wrap=True)


def open_terminal(json_file: str | None = None) -> Terminal:
    """Open the plugins and the two outputs.

    Args:
        json_file: where JSON will be written; if it is "-", what is found is printed to stderr,
            because stdout is for JSON.

    Raises:
        UserError: if it is a folder or a file of somebody else's, before anything is done.
    """
    if json_file is not None and Path(json_file).is_dir():
        raise UserError(
            f"--json {json_file or repr('')}: it is a folder; name a file, or - for stdout"
        )
    if json_file not in (None, "-"):
        from memtk.files import check_output, is_record

        check_output(Path(json_file), is_record)
    if json_file == "-":
        context = click.get_current_context()
        context.meta[STDOUT] = context.with_resource(alone_on_stdout())
    from memtk.console import marked, open_console
    from memtk.registry import open_registry

    registry, aside = open_registry(), open_console(stderr=True)
    for warning in registry.warnings:
        aside.print(marked("warning:", "yellow", warning))
    return Terminal(registry, aside if json_file == "-" else open_console(), aside)


def write_json(text: str, where: str | None) -> None:
    """Write JSON to a file, or to stdout for "-"; nowhere for None."""
    if where == "-":
        click.echo(text, file=click.get_current_context().meta[STDOUT])
    elif where is not None:
        from memtk.files import is_record, write_output

        write_output(Path(where), text + "\n", is_record)


def plain_table(*columns: str, title: str | None = None, **style: Any) -> Table:
    """Return a table without lines; `style` is of every column."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, **style)
    return table
