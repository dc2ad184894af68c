"""`memtk list` and `memtk plugins`: what plugins bring, where from, and how to write one."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from memtk.cli.plugins_test import test
from memtk.component import KINDS

WIDEST = 120
"""Columns of the terminal that are used at the most."""


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


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """Show every plugin: its package and version, what it brings, and why one is left out.

    MEMTK_PLUGINS=a,b loads only those; MEMTK_DISABLE_PLUGINS=c leaves some out.

    \b
    Write your own, from a skeleton that works:
      memtk plugins new my-model
      pip install -e my-model
      memtk plugins test my-model
    """
    if ctx.invoked_subcommand is None:
        _show()


def _show() -> None:
    from memtk.registry import open_registry

    registry = open_registry()
    watchers = registry.host.manager.hook.memtk_run_event.get_hookimpls()
    watching = {watcher.plugin_name for watcher in watchers}
    brought = [entry for kind in KINDS for entry in registry.entries(kind)]
    rows = []
    for plugin in registry.host.plugins:
        names = [entry.name for entry in brought if entry.plugin == plugin]
        nothing = "watches runs" if plugin.name in watching else "brings nothing"
        said = plugin.reason or ", ".join(names) or nothing
        about = f"{plugin.status}, of {plugin.distribution} {plugin.version}: {said}"
        rows.append((plugin.name, about))
    shown = two_columns()
    shown.write_dl(rows)
    click.echo(shown.getvalue(), nl=False)
    for warning in registry.warnings[len(registry.host.warnings) :]:
        click.echo(f"warning: {warning}", err=True)


@plugins.command()
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="generator",
    show_default=True,
    help="What it brings.",
)
def new(name: str, folder: Path | None, kind: str) -> None:
    """Write a package with one component that works, for you to change.

    NAME is what the component, the plugin and the package are called, as in my-model; FOLDER is
    where it is written [default: NAME]. It installs and passes its own tests at once.

    \b
    Examples:
      memtk plugins new my-model
      memtk plugins new my-format readers/mine --kind reader
    """
    from memtk.registry import open_registry
    from memtk.skeleton.write import USES, write_skeleton

    files = write_skeleton(name, open_registry(), kind, folder)
    place = folder or Path(name)
    component = next(path for path in files if path.name == f"{kind}.py")
    click.echo(f"wrote {len(files)} files into {place}; the {kind} is in {component}. Now:")
    click.echo(f"  pip install --editable {shlex.quote(str(place))}")
    click.echo(f"  memtk plugins test {name}")
    click.echo(f"  {USES[kind].format(name=name)}")


plugins.add_command(test)


def two_columns() -> click.HelpFormatter:
    """Return a formatter as click makes it, without `shutil`, whose import takes too long."""
    return click.HelpFormatter(width=max(min(_terminal(), WIDEST) - 2, 50))


def _terminal() -> int:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size().columns or 80
    except (OSError, ValueError):  # not a terminal; closed
        return 80
