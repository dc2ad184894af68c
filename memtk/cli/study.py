"""`memtk study`: many benches that differ in stated settings, and one report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from memtk.cli.bench import RECIPE, SETTINGS
from memtk.cli.command import Group
from memtk.cli.options import DEVICE, asked, out_option, resume_option, together
from memtk.cli.terminal import Terminal, open_terminal
from memtk.errors import UserError, some

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

STUDY = together(
    RECIPE,
    SETTINGS,
    DEVICE,
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
    out_option("Study folder. [default: runs/, by the settings]"),
    resume_option("Go on with the study in the folder, or throw it away first."),
    click.option(
        "--dry-run", is_flag=True, help="Show the grid, what is shared and the time left."
    ),
)
"""Options of every study: those of `memtk bench`, and how its cells are run."""


class _Study(Group):
    """`memtk study --vary ...` is `memtk study grid --vary ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["grid", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Study)
def study() -> None:
    """Run a grid of benches and report how memorization and quality depend on the settings.

    Every cell is an ordinary run; a study that was stopped goes on with the same command, and one
    that gets more values keeps the cells that it has. Images are read once, and the copy detector
    is trained once for all cells of the same seed and images, on all training images. A cell that
    fails does not lose the others: the exit status is then 2.

    \b
    Examples:
      memtk study datasize -g monai2d --data chest/manifest.csv
      memtk study augmentation -g monai3d --seeds 0,1,2,3,4 --jobs 4
      memtk study iterations runs/data-demo-1a2b3c4d runs/data-demo-5e6f7a8b
      memtk study --vary generator=monai2d,copycat --vary seed=0,1,2 --preset smoke
      memtk study --vary mitigation.datasize=0.25,0.5,1 --vary seed=0,1 --dry-run
      memtk study augmentation -g monai3d --executor slurm --slurm partition=gpu
    """


@study.command()
@VARY
@STUDY
@click.pass_context
def grid(context: click.Context, vary: tuple[str, ...], **options: Any) -> None:
    """Run every combination of what --vary says.

    \b
    --vary seed=0,1,2                       three seeds of each setting
    --vary generator=monai2d,diffusers2d    two models
    --vary mitigation.augment=off,on        without and with a mitigation
    --vary mitigation.datasize=0.25,0.5,1   applied in all cells; the value is its first setting
    --vary mitigation=none,augment+datasize whole lists, joined by +
    --vary generator.diffusion.steps=500,1000,2000     any key of --set
    --vary data.shape=[[32,48,32],[16,24,16]]          values with commas
    """
    _study(context, "grid", vary, options)


@study.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@VARY
@SEEDS
@STUDY
@click.pass_context
def iterations(
    context: click.Context,
    runs: tuple[Path, ...],
    vary: tuple[str, ...],
    seeds: str,
    **options: Any,
) -> None:
    """Follow memorization and quality over the checkpoints of training.

    RUNS are folders of finished benches (or studies): nothing is trained, their checkpoint series
    are shown together. Without RUNS the runs are made, one a seed.
    """
    if not runs:
        _study(context, "iterations", vary, options | {"seeds": seeds})
        return
    plain = {"out", "resume"}
    given = [
        f"--{p.name.replace('_', '-')}"
        for p in context.command.params
        if p.name and p.name not in plain | {"runs"}
        and context.get_parameter_source(p.name) is not click.core.ParameterSource.DEFAULT
    ]  # fmt: skip
    if given:
        raise UserError(
            f"runs that are there are shown as they are: leave out {given[0]}, or give no folders"
        )
    from memtk.study import study_of_runs, study_runs

    made = study_runs(study_of_runs(runs), out=options["out"], resume=options["resume"])
    _finish(context, open_terminal(), made)


@study.command()
@click.option(
    "--sizes",
    default="0.25,0.5,1",
    show_default=True,
    metavar="F1,F2",
    help="Shares of the training patients; a smaller set is part of every larger one.",
)
@VARY
@SEEDS
@STUDY
@click.pass_context
def datasize(context: click.Context, vary: tuple[str, ...], **options: Any) -> None:
    """Train on parts of the patients, at equal epochs, as in the paper.

    The steps of the generator follow the number of training images, so that each image is shown as
    often. The copy detector is trained once, on all training images. As many synthetic images are
    drawn as there are training images, so what chance would give depends on the size: it is drawn
    beside every number.
    """
    _study(context, "datasize", vary, options)


@study.command()
@VARY
@SEEDS
@STUDY
@click.pass_context
def augmentation(context: click.Context, vary: tuple[str, ...], **options: Any) -> None:
    """Train without and with augmentation (flips and rotations up to 5 degrees)."""
    _study(context, "augmentation", vary, options)


def _study(
    context: click.Context, kind: str, vary: tuple[str, ...], options: dict[str, Any]
) -> None:
    terminal = open_terminal()
    registry = terminal.registry
    base_keys = {key: options.pop(key) for key in ("suite", "data", "config")}
    sets, out, device = options.pop("settings"), options.pop("out"), options.pop("device")
    executor, count, resume = (options.pop(key) for key in ("executor", "jobs", "resume"))
    slurm, dry_run = options.pop("parameters"), options.pop("dry_run")
    own = {key: options.pop(key, None) for key in ("seeds", "sizes", "equal_epochs")}
    with terminal.loading():
        from memtk.cli.study_display import TerminalDisplay
        from memtk.study import (
            Base,
            Jobs,
            check_jobs,
            describe_study,
            make_study,
            parse_parameters,
            run_study,
        )

        base = Base(asked(options), sets=sets, **base_keys)
        jobs = Jobs(executor, count, parse_parameters(slurm))
        plan = make_study(base, vary, registry, kind=kind, **asked(own))
    if dry_run:
        check_jobs(jobs)
        width = jobs.width(len(plan.runs))
        terminal.end(describe_study(plan, registry, out=out, device=device, width=width))
        return
    with TerminalDisplay(terminal.aside, registry.host) as display:
        finished = run_study(
            plan, registry, out=out, device=device, jobs=jobs, resume=resume, display=display
        )
    _finish(context, terminal, finished)


def _finish(context: click.Context, terminal: Terminal, finished: Any) -> None:
    from memtk.report.study_terminal import study_summary

    terminal.end(study_summary(finished.study), finished.report)
    if finished.report is not None:
        click.echo(f"table: {finished.study.folder / 'study.csv'}")
    if finished.study.missing:
        left, runs = len(finished.study.missing), finished.study.runs
        message = (
            f"{some(left, runs, 'cell', 'is/are')} not finished; the same command goes on with them"
        )
        click.echo(message, err=True)
        context.exit(2)
