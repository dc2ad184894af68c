"""`memtk bench`: train, sample, and tell what was memorized."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from memtk.cli.command import Command
from memtk.cli.options import (
    DEVICE,
    DRY_RUN,
    QUALITY,
    SEED,
    SIMILARITY,
    WORKERS,
    asked,
    out_option,
    resume_option,
    set_option,
    together,
)
from memtk.cli.terminal import open_terminal


def _several(flag: str, *names: str, metavar: str = "NAME", text: str) -> Any:
    return click.option(flag, *names, multiple=True, metavar=metavar, help=text)


RECIPE = together(
    _several("--generator", "-g", text="Model to judge; repeat for several. [default: monai3d]"),
    click.option(
        "--embedder",
        "-e",
        metavar="NAME",
        help="Copy detector. [default: ntxent3d, or ntxent2d for 2D models]",
    ),
    SIMILARITY,
    _several(
        "--mitigation",
        "-m",
        text="A way to memorize less, for every generator; repeat to combine.",
    ),
    _several(
        "--compare",
        "-c",
        metavar="NAME[+NAME...]",
        text="One more cell with this mitigation beside the plain one, or with several joined by "
        "+; repeatable. In front may stand the generator that it is for.",
    ),
    QUALITY,
    click.option(
        "--extractor",
        metavar="NAME",
        help="Embedder whose features fid, kid, prdc, ... compare. [default: the copy detector]",
    ),
    _several(
        "--attack",
        text="Membership attack on the last checkpoint, e.g. gan-leaks; repeatable.",
    ),
    click.option(
        "--canaries",
        type=int,
        metavar="N",
        help="Let N training patients take part by fair coins, and bound epsilon by what the "
        "attacks tell of them; half of them are lost for training.",
    ),
    click.option(
        "--suite",
        metavar="NAME|FILE",
        help="A versioned benchmark: phantom2d, phantom3d, hippocampus, chest-xray, mrnet; with "
        "--data, on your copy of its images. [default: phantom3d, or phantom2d]",
    ),
    click.option(
        "--data",
        metavar="PATH",
        help="Your images: a manifest (CSV: path, patient_id, split), a folder, or one file of "
        "many.",
    ),
    _several(
        "--condition",
        metavar="COLUMN",
        text="Column of the manifest that conditional generators are told, such as view; "
        "repeatable.",
    ),
    click.option(
        "--condition-from",
        metavar="FILE",
        help="CSV with the conditions of the samples, one a line. [default: as the training images "
        "have them]",
    ),
    click.option(
        "--preset",
        metavar="NAME",
        help="Size of the models and suites: smoke (seconds), demo (minutes), paper. "
        "[default: demo]",
    ),
    click.option("--checkpoints", type=int, metavar="N", help="Checkpoints to judge. [default: 5]"),
    click.option(
        "--samples",
        type=int,
        metavar="M",
        help="Synthetic images of each checkpoint. [default: as many as training images]",
    ),
)
"""What is asked of a bench; the names are the keys of a recipe's table `bench`."""

SETTINGS = together(
    set_option("Any setting, e.g. generator.diffusion.steps=200 or data.shape=32,48,32."),
    click.option("--config", type=click.Path(path_type=Path), help="A recipe in TOML."),
)


@click.command(cls=Command)
@RECIPE
@SEED
@SETTINGS
@out_option("Run folder. [default: runs/, by the recipe]")
@DEVICE
@WORKERS
@resume_option(
    "Go on with a run of the same recipe, or throw it away first (so --no-resume, repeated, starts "
    "anew each time)."
)
@DRY_RUN
def bench(
    settings: tuple[str, ...],
    suite: str | None,
    data: str | None,
    config: Path | None,
    out: Path | None,
    device: str,
    workers: int,
    resume: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Train a generator, sample it, and tell what it memorized.

    Trains each generator with a series of checkpoints, samples as many images as there are
    training images, embeds all of them, finds nearest neighbours both ways, and writes a report.
    A run that was stopped or killed goes on with the same command.

    \b
    Examples:
      memtk bench --generator monai3d --embedder ntxent3d
      memtk bench -g monai3d -g copycat -g independent --preset smoke
      memtk bench -g monai2d -e ntxent2d --data chest/manifest.csv -m augment
      memtk bench -g monai2d --compare augment --compare smaller+release-filter
      memtk bench --data mri/manifest.csv --set data.shape=32,48,32 --dry-run
    """
    terminal = open_terminal()
    registry = terminal.registry
    with terminal.loading():
        from memtk.bench import describe_plan, make_plan, read_recipe, run_bench
        from memtk.report.terminal import summary

        recipe = read_recipe(
            registry, asked(options), suite=suite, data=data, config=config, sets=settings
        )
        plan = replace(make_plan(recipe, registry), workers=workers)
    with terminal.progress() as progress:
        if dry_run:
            shown = describe_plan(plan, registry, watch=progress, out=out, device=device)
        else:
            run = run_bench(plan, registry, out=out, device=device, resume=resume, watch=progress)
    if dry_run:
        terminal.end(shown)
    elif run is not None:
        terminal.end(summary(run.results, run.folder), run.report)
