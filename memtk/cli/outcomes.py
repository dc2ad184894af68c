"""What the commands that judge have in common: how they begin, what they leave, how they exit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtk.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from memtk.cli.progress import Progress
    from memtk.registry import Registry

EXITS = {"pass": 0, "fail": 3, "inconclusive": 4}
"""Exit status by outcome."""


@contextmanager
def opening(json_file: str | None) -> Iterator[tuple[Registry, Console, Progress]]:
    """Open the plugins and the two outputs: what is found, and how far it is.

    Args:
        json_file: where JSON will be written; if it is "-", what is found is printed to stderr,
            because stdout is for JSON.

    Raises:
        UserError: if it is a folder, before anything is done.
    """
    if json_file is not None and Path(json_file).is_dir():
        raise UserError(
            f"--json {json_file or repr('')}: it is a folder; name a file, or - for stdout"
        )
    from rich.console import Console

    from memtk.cli.progress import Progress
    from memtk.registry import open_registry

    registry = open_registry()
    aside = Console(stderr=True)
    for warning in registry.warnings:
        aside.print(f"[yellow]warning:[/] {warning}", highlight=False)
    with aside.status("loading torch, MONAI and the plugins"):
        import memtk.auditing  # noqa: F401  # several seconds, with something to look at
    yield registry, aside if json_file == "-" else Console(), Progress(aside, registry.host)


def write_json(record: Any, where: str | None) -> None:
    """Write a stored record as JSON to a file, or to stdout for "-"."""
    if where is None:
        return
    text = record.model_dump_json(indent=1)
    if where == "-":
        click.echo(text)
        return
    from memtk.files import write_text

    write_text(Path(where), text + "\n")


def finish(console: Console, shown: RenderableType, report: Path | None) -> None:
    """Print what was found, and where the page lies."""
    console.print(shown)
    if report is not None:
        console.print(f"report: {report}", highlight=False, soft_wrap=True)
