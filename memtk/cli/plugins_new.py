"""`memtk plugins new`: a plugin to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from memtk.component import KINDS


@click.command()
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
    click.echo(f"  pip install --editable {place}")
    click.echo(f"  memtk plugins test {name}")
    click.echo(f"  {USES[kind].format(name=name)}")
