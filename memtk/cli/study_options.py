"""Options that every study has: those of `memtk bench`, and how its cells are run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

OWN = ("seed", "out", "dry_run", "resume")
"""Options of `memtk bench` that a study has in its own way."""

VARY = click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V1,V2",
    help="What is varied: seed, generator, mitigation.NAME=off,on, mitigation.datasize=0.5,1 or "
    "any key of --set. Repeat it; every combination is a cell.",
)

SEEDS = click.option(
    "--seeds",
    default="0,1,2",
    show_default=True,
    metavar="S1,S2",
    help="Each setting is run once with each.",
)

_RUNNING = (
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Cells at a time, in processes of one thread each. [default: 1, in this process; on "
        "SLURM all]",
    ),
    click.option(
        "--executor",
        type=click.Choice(["here", "local", "slurm"]),
        default="here",
        show_default=True,
        help="Where cells run: here, or handed to a SLURM cluster by submitit, or to submitit's "
        "local executor.",
    ),
    click.option(
        "--slurm",
        "parameters",
        multiple=True,
        metavar="KEY=VALUE",
        help="Of the jobs, e.g. partition=gpu, gpus_per_node=1, time=240 (minutes), mem_gb=32. "
        "Repeatable.",
    ),
    click.option(
        "--equal-epochs/--equal-steps",
        default=None,
        help="Fewer training images get as many fewer steps, or the same. [default: equal epochs "
        "in `memtk study datasize`, else equal steps]",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Study folder. [default: runs/, by the settings]",
    ),
    click.option(
        "--resume/--no-resume",
        default=True,
        show_default=True,
        help="Go on with the study in the folder, or throw it away first.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Show the grid, what is shared and the time left."
    ),
)


def study_options(command: Command) -> Command:
    """Give a command the options of `memtk bench`, and those of a study."""
    from memtk.cli.bench import bench

    for option in reversed(_RUNNING):
        command = option(command)
    parameters: list[click.Parameter] = [p for p in bench.params if p.name not in OWN]
    made: list[click.Parameter] = getattr(command, "__click_params__", [])
    command.__click_params__ = [*made, *reversed(parameters)]  # type: ignore[attr-defined]
    return command
