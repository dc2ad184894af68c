"""`memtk plugins`: where each plugin comes from and whether it works; for authors, new and test."""

from __future__ import annotations

import click

from memtk.cli.columns import two_columns
from memtk.cli.plugins_new import new
from memtk.cli.plugins_test import test
from memtk.component import KINDS


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


plugins.add_command(new)
plugins.add_command(test)
