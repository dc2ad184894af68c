"""`memtk bench`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "--generator",
    "-g",
    "generators",
    multiple=True,
    metavar="NAME",
    help="Model to judge; repeat for several. [default: monai3d]",
)
@click.option(
    "--embedder",
    "-e",
    metavar="NAME",
    help="Copy detector. [default: ntxent3d, or ntxent2d for 2D models]",
)
@click.option("--similarity", metavar="NAME", help="Likeness of two images. [default: pearson]")
@click.option(
    "--mitigation",
    "-m",
    "mitigations",
    multiple=True,
    metavar="NAME",
    help="A way to memorize less, for every generator; repeat to combine.",
)
@click.option(
    "--compare",
    "-c",
    "compared",
    multiple=True,
    metavar="NAME[+NAME...]",
    help="One more cell with this mitigation beside the plain one, or with several joined by +; "
    "repeatable. In front may stand the generator that it is for.",
)
@click.option(
    "--quality",
    "qualities",
    multiple=True,
    metavar="NAME",
    help="Measure of quality or diversity; repeatable. all: every one that is installed.",
)
@click.option(
    "--extractor",
    metavar="NAME",
    help="Embedder whose features fid, kid, prdc, ... compare. [default: the copy detector]",
)
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    metavar="NAME",
    help="Membership attack on the last checkpoint, e.g. gan-leaks; repeatable.",
)
@click.option(
    "--suite",
    metavar="NAME|FILE",
    help="A versioned benchmark: phantom2d, phantom3d, hippocampus, chest-xray, mrnet; with "
    "--data, on your copy of its images. [default: phantom3d, or phantom2d]",
)
@click.option(
    "--data",
    metavar="PATH",
    help="Your images: a manifest (CSV: path, patient_id, split), a folder, or one file of many.",
)
@click.option(
    "--preset",
    metavar="NAME",
    help="Size of the models and suites: smoke (seconds), demo (minutes), paper. [default: demo]",
)
@click.option("--checkpoints", type=int, metavar="N", help="Checkpoints to judge. [default: 5]")
@click.option(
    "--samples",
    type=int,
    metavar="M",
    help="Synthetic images of each checkpoint. [default: as many as training images]",
)
@click.option("--seed", type=int, metavar="N", help="All randomness follows from it. [default: 0]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting, e.g. generator.diffusion.steps=200 or data.shape=32,48,32. Repeatable.",
)
@click.option("--config", type=click.Path(path_type=Path), help="A recipe in TOML.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run folder. [default: runs/, by the recipe]"
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on with a run of the same recipe, or throw it away first (so --no-resume, repeated, "
    "starts anew each time).",
)
@click.option("--dry-run", is_flag=True, help="Check everything, show the plan, train nothing.")
def bench(
    generators: tuple[str, ...],
    mitigations: tuple[str, ...],
    compared: tuple[str, ...],
    qualities: tuple[str, ...],
    attacks: tuple[str, ...],
    settings: tuple[str, ...],
    suite: str | None,
    data: str | None,
    config: Path | None,
    out: Path | None,
    device: str,
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
    from rich.console import Console

    from memtk.cli.progress import Progress
    from memtk.registry import open_registry

    registry = open_registry()
    console = Console(stderr=True)
    for warning in registry.warnings:
        console.print(f"[yellow]warning:[/] {warning}", highlight=False)
    options |= {"generator": generators, "mitigation": mitigations, "quality": qualities}
    options |= {"attack": attacks, "compare": compared}
    asked = {key: value for key, value in options.items() if value not in (None, ())}
    with console.status("loading torch, MONAI and the plugins"):
        from memtk.bench import describe_plan, make_plan, read_recipe, run_bench
        from memtk.report.terminal import summary

        recipe = read_recipe(registry, asked, suite=suite, data=data, config=config, sets=settings)
        plan = make_plan(recipe, registry)
    with Progress(console, registry.host) as progress:
        if dry_run:
            shown = describe_plan(plan, registry, watch=progress, out=out, device=device)
        else:
            run = run_bench(plan, registry, out=out, device=device, resume=resume, watch=progress)
    if dry_run:
        Console().print(shown)
    elif run is not None:
        Console().print(summary(run.results))
        click.echo(f"report: {run.report}")
