"""`memtk data`: public data sets, and the embedded phantoms as files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtk.cli.command import Group
from memtk.cli.options import Bounded, out_option
from memtk.cli.terminal import open_terminal, plain_table
from memtk.errors import UserError

if TYPE_CHECKING:
    from memtk.data.public.catalogue import PublicSet


@click.group(cls=Group)
def data() -> None:
    """Get public data sets, or make phantoms as files.

    \b
    Examples:
      memtk data list
      memtk data get hippocampus
      memtk bench --suite hippocampus
      memtk data make phantom3d phantoms/
      memtk data make phantom2d demo/ --as audit
    """


_HOME = out_option(
    "Folder of all public data. [default: MEMTK_DATA_HOME, else the system's cache folder]", "DIR"
)


@data.command("list")
@_HOME
@click.option("--all", "every", is_flag=True, help="MedMNIST's sets too, in all their sizes.")
def list_data(out: Path | None, every: bool) -> None:
    """Show the public data sets: what they are, how large, under which licence, and if they are
    there.
    """
    from rich.text import Text

    from memtk.console import open_console
    from memtk.data.public.catalogue import FAMILY, PUBLIC, medmnist_sets

    home, family = _home(out), medmnist_sets()
    table = plain_table("name", no_wrap=True)
    for column in ("images", "patients", "to fetch"):
        table.add_column(column, justify="right")
    for column in ("licence", "there"):
        table.add_column(column)
    for public in [*PUBLIC.values(), *(family.values() if every else ())]:
        table.add_row(
            public.name,
            f"{public.images:,}",
            f"{public.patients:,}" if public.patients else "not said",
            _size(public),
            public.licence,
            Text("yes", "green") if public.is_there(home) else "no",
        )
    open_console().print(table)
    if not every:
        click.echo(
            f"{FAMILY}NAME: {len(family)} more, memtk data list --all"
            if family
            else f"{FAMILY}NAME: MedMNIST's sets, with pip install 'memtk[medmnist]'"
        )
    click.echo("phantom2d, phantom3d: made here, memtk data make")
    click.echo(f"folder: {home}")


@data.command()
@click.argument("name")
@_HOME
@click.option("--keep-archives", is_flag=True, help="Leave the archives when they are unpacked.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be fetched from where, fetch nothing."
)
def get(name: str, out: Path | None, keep_archives: bool, dry_run: bool) -> None:
    """Fetch a public data set, check it against its checksums, and unpack it.

    Says the licence and what to cite before. What was cut off goes on with the same command; what
    you have fetched yourself is used where it lies in the folder that --dry-run names. A set that
    takes a sign-up is not fetched: the steps are shown.

    \b
    Examples:
      memtk data get hippocampus
      memtk data get medmnist/pneumoniamnist_64
      memtk data get mrnet
    """
    from memtk.data.public.catalogue import find_public
    from memtk.data.public.download import get_public, target

    public, home = find_public(name), _home(out)
    _say_terms(public)
    if dry_run:
        for file in public.files:
            sum_of = file.checksum or "checksum not known: the first download's is kept"
            click.echo(f"{file.url}\n  -> {target(public, home) / file.name}  ({sum_of})")
        if public.files:
            return
    with open_terminal().progress() as progress:
        place = get_public(public, home, keep=keep_archives, watch=progress)
    click.echo(f"there: {place}")
    for line in _next(public, place, out):
        click.echo(line)


@data.command()
@click.argument(
    "source", metavar="phantom2d|phantom3d", type=click.Choice(["phantom2d", "phantom3d"])
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["nifti", "npz", "png"]),
    help="Of the files. [default: png for phantom2d, nifti for phantom3d]",
)
@click.option(
    "--as",
    "purpose",
    type=click.Choice(["images", "audit"]),
    default="images",
    show_default=True,
    help="images: one folder with a manifest. audit: train/, validation/ and synthetic/ with "
    "copies planted, and truth.csv, which names them.",
)
@click.option("--training", default=64, show_default=True, help="Training patients.")
@click.option("--validation", default=64, show_default=True, help="Validation patients.")
@click.option("--held-out", type=int, help="Held-out patients. [default: 64; of an audit none]")
@click.option("--images-per-patient", default=1, show_default=True, help="Images of each patient.")
@click.option("--size", type=int, help="Voxels along each axis. [default: 64 in 2D, 32 in 3D]")
@click.option(
    "--copies",
    type=Bounded(0, 1),
    default=0.1,
    show_default=True,
    help="Share of the synthetic images of an audit that are copies.",
)
@click.option("--seed", default=0, show_default=True, help="All randomness follows from it.")
def make(
    source: str,
    folder: Path,
    file_format: str | None,
    purpose: str,
    held_out: int | None,
    size: int | None,
    copies: float,
    **counts: int,
) -> None:
    """Write the embedded phantoms as files, so that all that needs files can be tried offline.

    \b
    Examples:
      memtk data make phantom3d phantoms/
      memtk bench --data phantoms/manifest.csv --preset smoke
      memtk data make phantom2d demo/ --as audit --copies 0.2
      memtk audit --train demo/train --val demo/validation --synthetic demo/synthetic
    """
    from memtk.config import build
    from memtk.data.config import PhantomConfig
    from memtk.data.phantom_files import write_audit, write_phantoms

    audit = purpose == "audit"
    if audit and held_out:
        raise UserError("--held-out is for --as images: an audit has the three folders alone")
    counts |= {"held_out": 64 if held_out is None and not audit else held_out or 0}
    counts |= {"size": size or (64 if source == "phantom2d" else 32)}
    config = build(PhantomConfig, counts, where="data.phantom")
    with open_terminal().progress() as progress:
        if audit:
            truth = write_audit(
                source, folder, config, copies=copies, file_format=file_format, watch=progress
            )
        else:
            made = write_phantoms(source, folder, config, file_format=file_format, watch=progress)
    if audit:
        click.echo(f"which of the synthetic images are copies: {truth}")
        sets = (("--train", "train"), ("--val", "validation"), ("--synthetic", "synthetic"))
        parts = (f"{option} {shlex.quote(str(folder / name))}" for option, name in sets)
        click.echo(f"memtk audit {' '.join(parts)}")
    else:
        flat = " --generator monai2d" if source == "phantom2d" else ""
        click.echo(f"manifest: {made}")
        click.echo(f"memtk bench --data {shlex.quote(str(made))}{flat}")


def _home(out: Path | None) -> Path:
    from memtk.data.public.catalogue import data_home

    return out or data_home()


def _size(public: PublicSet) -> str:
    from rich.filesize import decimal

    if not public.files:
        return "sign-up"
    return decimal(public.size) if public.size else "not said"


def _say_terms(public: PublicSet) -> None:
    """Say what a set is and on what terms, before anything is fetched."""
    click.echo(f"{public.title}: {public.images:,} images, to fetch: {_size(public)}")
    click.echo(f"licence: {public.licence}")
    for text in public.citation:
        click.echo(f"cite: {text}")
    click.echo(f"see: {public.homepage}")
    for text in public.notes:
        click.echo(f"note: {text}")


def _next(public: PublicSet, place: Path, out: Path | None) -> Sequence[str]:
    """Return what to type next."""
    from memtk.suites import suite_names

    there = shlex.quote(str(place))
    where: Any = f" --data {there}" if out else ""
    if public.name in suite_names():
        return [f"memtk bench --suite {public.name}{where}"]
    return [f"memtk bench --data {there if out else f'public:{public.name}'}"]
