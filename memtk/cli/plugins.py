"""`memtk list` and `memtk plugins`: what plugins bring, how to write one, the conformance kit."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtk.cli.command import Command, Group
from memtk.cli.options import set_option
from memtk.cli.terminal import open_terminal, plain_table
from memtk.component import KINDS
from memtk.errors import UserError, many, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from memtk.testing import Case, Outcome


WIDEST = 120
"""Columns of the terminal that are used at the most."""


class Kind(click.Choice[str]):
    """A kind of component, one of `KINDS`; its plural does as well."""

    plurals = {hook.removeprefix("memtk_"): kind for kind, hook in KINDS.items()}

    def __init__(self) -> None:
        super().__init__(list(KINDS))

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the kind that a text means."""
        return super().convert(self.plurals.get(value, value), param, ctx)


@click.command("list", cls=Command)
@click.argument("kind", required=False, type=Kind(), metavar="[KIND]")
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
    click.echo(printable(shown.getvalue()), nl=False)
    for warning in registry.warnings:
        click.echo(f"warning: {warning}", err=True)


@click.group(cls=Group, invoke_without_command=True)
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
    type=Kind(),
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
    from memtk.skeleton import USES, write_skeleton

    files = write_skeleton(name, open_registry(), kind, folder)
    place = folder or Path(name)
    component = next(path for path in files if path.name == f"{kind}.py")
    click.echo(f"wrote {many(len(files), 'file')} into {place}; the {kind} is in {component}. Now:")
    click.echo(f"  pip install --editable {shlex.quote(str(place))}")
    click.echo(f"  memtk plugins test {name}")
    click.echo(f"  {USES[kind].format(name=name)}")


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


FAILED = 3
"""Exit code if a check failed or none could be run; 2 is a mistake in the command, 0 all well."""

MARKS = {
    "passed": "green",
    "failed": "red",
    "known": "yellow",
    "skipped": "dim",
}
"""Colours of what came of a check."""


@plugins.command()
@click.argument("name", required=False)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="CHECK",
    help="Run this check alone; repeatable.",
)
@click.option("--list", "show", is_flag=True, help="List the checks and what each says; run none.")
@set_option("A setting of the component, e.g. training.steps=5.")
@click.option(
    "--example",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="A sound file for a reader, where its plugin brings none.",
)
@click.pass_context
def test(
    ctx: click.Context,
    name: str | None,
    checks: tuple[str, ...],
    show: bool,
    settings: tuple[str, ...],
    example: Path | None,
) -> None:
    """Check that components keep the rules that memtk relies on.

    NAME is a component, a plugin or a package, as `memtk list` and `memtk plugins` show them. Each
    component is made small (preset smoke) and trained for two steps. A failure that its author
    lists as known, with a reason, is shown as such.

    \b
    Exit code: 0 if no check failed, 3 if one did or none could be run, 2 for a mistake in the
    command.
    \b
    Examples:
      memtk plugins test my-model
      memtk plugins test pearson --check tiles-make-the-whole
      memtk plugins test my-reader --example scan.xyz
      memtk plugins test --list
    """
    if name is None and not show:
        raise UserError("say what to check: memtk plugins test NAME (or --list)")
    terminal = open_terminal()
    console = terminal.found
    with terminal.loading("torch and the conformance kit"):
        from memtk.config import merge, parse_set
        from memtk.console import marked
        from memtk.testing.checks import find_check
        from memtk.testing.facade import Found, cases_of, find

    found = find(terminal.registry, name) if name else Found((), ())
    kinds = list(dict.fromkeys(entry.kind for entry in found.entries)) or list(KINDS)
    names = [find_check(check, kinds) for check in checks]
    if show:
        console.print(_catalogue(kinds, names))
        return
    config = merge(*map(parse_set, settings)) if settings else {}
    start = time.monotonic()
    outcomes: list[Outcome] = []
    cases = [case for entry in found.entries for case in cases_of(entry, config, example)]
    for case in cases if config else ():
        case.refuse_settings()
    for case in cases:
        done = _run(case, names, terminal.aside)
        console.print(_table(case, done), "")
        outcomes += done
    for complaint in found.complaints:
        console.print(marked("failed", "red", complaint))
    if len(cases) > 1:
        for outcome in outcomes:
            if outcome.status == "failed":
                check = outcome.check.replace("_", " ")
                console.print(marked("failed", "red", f"{outcome.case.title}: {check}"))
    for said in _of_one_kind_of_image(outcomes):
        console.print(said, style="yellow")
    counts = Counter[str](outcome.status for outcome in outcomes)
    counts["failed"] += len(found.complaints)
    said = ", ".join(f"{counts[mark]} {mark}" for mark in MARKS if counts[mark])
    console.print(f"{said or 'there is nothing to check'} in {time.monotonic() - start:.1f} s")
    nothing_ran = bool(outcomes) and counts["skipped"] == len(outcomes)
    if nothing_ran:
        console.print("no check could be run, so nothing is shown to be right", style="red")
    if counts["failed"] or nothing_ran:
        ctx.exit(FAILED)


def _run(case: Case, names: Sequence[str], status: Console) -> list[Outcome]:
    """Run the checks of a case, those of `names` if there are any, and show how far it is."""
    from rich.text import Text

    from memtk.testing.checks import Outcome, checks_of, run_check, unknown_known

    done: list[Outcome] = []
    if complaint := unknown_known(case):
        done.append(Outcome(case, "known_failures_are_of_checks_there_are", "failed", complaint))
    with status.status("") as shown:
        for check in checks_of(case.kind):
            if not names or check in names:
                shown.update(Text(f"{case.title}: {check.replace('_', ' ')}"))
                done.append(run_check(case, check))
    return done


def _of_one_kind_of_image(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say which components keep the rules on pictures or on volumes alone."""
    tried: dict[str, set[int]] = {}
    failed: dict[str, set[int]] = {}
    for outcome in outcomes:
        entry, dims = outcome.case.entry, outcome.case.shape.dims
        if entry is not None:
            tried.setdefault(entry.name, set()).add(dims)
            if outcome.status == "failed":
                failed.setdefault(entry.name, set()).add(dims)
    for name, wrong in failed.items():
        if right := tried[name] - wrong:
            yield (
                f"{name} fails on {wrong.pop()}D images alone: if it is not for these, its record "
                f"says so, Component(..., dims=frozenset({right}))"
            )


def _table(case: Case, outcomes: Sequence[Outcome]) -> Table:
    from rich.table import Table
    from rich.text import Text

    assert case.entry is not None
    plugin = case.entry.plugin
    origin = f"{case.kind} of {plugin.distribution} {plugin.version}"
    title = Text.assemble((case.title, "bold"), f" ({origin})")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    for column in ("result", "check", "why"):
        table.add_column(column, no_wrap=column != "why")
    said: set[str] = set()
    for outcome in outcomes:
        again = bool(outcome.why) and outcome.why in said
        said.add(outcome.why)
        why = Text(
            "the same" if again else outcome.why, "" if outcome.status == "failed" else "dim"
        )
        status = Text(outcome.status, MARKS[outcome.status])
        table.add_row(status, outcome.check.replace("_", " "), why)
    return table


def _catalogue(kinds: Sequence[str], names: Sequence[str]) -> Table:
    from memtk.testing.checks import checks_of

    table = plain_table("kind", "check", no_wrap=True)
    table.add_column("what it says")
    for kind in kinds:
        for name, check in checks_of(kind).items():
            if not names or name in names:
                says = (check.__doc__ or "").strip().splitlines()[0]
                table.add_row(kind, name.replace("_", "-"), says)
    return table
