"""`memtk list`: the components, and the plugins they come from."""

from __future__ import annotations

import click

from memtk.component import KINDS


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
def list_components(kind: str | None) -> None:
    """List what plugins bring: generators, embedders, similarities, ...

    KIND shows one kind only. What needs a package that is not installed says how to get it.
    """
    from rich.console import Console
    from rich.table import Table

    from memtk.registry import open_registry

    registry = open_registry()
    console = Console()
    for name in [kind] if kind else KINDS:
        entries = registry.entries(name)
        if not entries:
            if kind:
                console.print(f"No plugin brings a component of the kind {kind!r}.")
            continue
        table = Table(title=name, title_justify="left", box=None, pad_edge=False, show_header=False)
        table.add_column("name", style="bold", no_wrap=True)
        table.add_column("dims", no_wrap=True)
        table.add_column("summary")
        table.add_column("from", style="dim")
        for entry in entries:
            component = entry.component
            dims = "/".join(f"{d}D" for d in sorted(component.dims))
            summary = component.summary
            if entry.missing:
                command = component.install or f"pip install {' '.join(entry.missing)}"
                summary += f" (needs {', '.join(entry.missing)}: {command})"
            origin = f"{entry.plugin.name} ({entry.plugin.distribution} {entry.plugin.version})"
            table.add_row(component.name, dims, summary, origin)
        console.print(table, "")
    for warning in registry.warnings:
        click.echo(f"warning: {warning}", err=True)
