"""`memtk plugins`: where each plugin comes from and whether it works."""

from __future__ import annotations

import click

from memtk.component import KINDS


@click.command()
def plugins() -> None:
    """Show every plugin: its package and version, what it brings, and why one is left out.

    MEMTK_PLUGINS=a,b loads only those; MEMTK_DISABLE_PLUGINS=c leaves some out.
    """
    from rich.console import Console
    from rich.table import Table

    from memtk.registry import open_registry

    registry = open_registry()
    table = Table(box=None, pad_edge=False)
    for column in ("plugin", "package", "status", "brings"):
        table.add_column(column, no_wrap=column != "brings")
    brought = [entry for kind in KINDS for entry in registry.entries(kind)]
    for plugin in registry.host.plugins:
        names = [entry.name for entry in brought if entry.plugin == plugin]
        colour = {"active": "green", "blocked": "yellow", "broken": "red"}[plugin.status]
        table.add_row(
            plugin.name,
            f"{plugin.distribution} {plugin.version}",
            f"[{colour}]{plugin.status}[/]",
            plugin.reason or ", ".join(names),
        )
    Console().print(table)
    for warning in registry.warnings[len(registry.host.warnings) :]:
        click.echo(f"warning: {warning}", err=True)
