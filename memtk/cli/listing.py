"""`memtk list`: the components, and the plugins they come from."""

from __future__ import annotations

import click

from memtk.cli.columns import two_columns
from memtk.component import KINDS


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
def list_components(kind: str | None) -> None:
    """List what plugins bring: generators, embedders, similarities, ...

    KIND shows one kind only. What needs a package that is not installed says how to get it.
    """
    from memtk.registry import open_registry

    registry = open_registry()
    shown = two_columns()
    for name in [kind] if kind else KINDS:
        entries = registry.entries(name)
        if not entries and kind:
            click.echo(f"No plugin brings a component of the kind {kind!r}.")
        if not entries:
            continue
        rows = []
        for entry in entries:
            component = entry.component
            dims = "/".join(f"{d}D" for d in sorted(component.dims))
            origin = f"{entry.plugin.name}, {entry.plugin.distribution} {entry.plugin.version}"
            needs = ""
            if entry.missing:
                command = component.install or f"pip install {' '.join(entry.missing)}"
                needs = f" Needs {', '.join(entry.missing)}: {command}"
            rows.append((component.name, f"{dims}: {component.summary}{needs} ({origin})"))
        with shown.section(name):
            shown.write_dl(rows)
    click.echo(shown.getvalue(), nl=False)
    for warning in registry.warnings:
        click.echo(f"warning: {warning}", err=True)
