"""`memtk audit`: may these synthetic images be released?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from memtk.cli.images import data_settings, image_options
from memtk.cli.outcomes import EXITS, finish, opening, write_json
from memtk.errors import UserError


@click.command()
@image_options(synthetic=True)
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="In place of images: arrays train (N, D), validation (V, D), synthetic (M, D) of an "
    "embedder of your own; and if you have them train_patient, validation_patient, train_id, "
    "validation_id, synthetic_id, planted (K, D) with planted_source.",
)
@click.option(
    "--exposure-embeddings",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="The same images by an embedder that saw the synthetic ones alone.",
)
@click.option(
    "--embedder", "-e", metavar="NAME", help="Copy detector. [default: ntxent3d or ntxent2d]"
)
@click.option(
    "--weights",
    metavar="PATH",
    help="Take the embedder as trained: a checkpoint or a run folder. It must have seen none of "
    "the images.",
)
@click.option("--similarity", metavar="NAME", help="Likeness of two images. [default: pearson]")
@click.option("--preset", metavar="NAME", help="Size of the embedder. [default: audit, or demo]")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="What is tolerable; see the reference. [default: copies up to 5 %, no exposed patient, "
    "95 % confidence, 80 % of planted copies found]",
)
@click.option(
    "--exposure/--no-exposure",
    default=None,
    help="Test training images and patients too, with a second embedder. [default: yes]",
)
@click.option("--plants", type=int, metavar="K", help="Patients to plant copies of. [default: 100]")
@click.option("--alpha", type=float, help="Level of a single test. [default: 0.05]")
@click.option("--fdr", type=float, help="False discovery rate of what is flagged. [default: 0.1]")
@click.option("--seed", type=int, metavar="N", help="All randomness follows from it. [default: 0]")
@click.option(
    "--json",
    "json_file",
    metavar="FILE|-",
    help="Write the result as one JSON object; - prints it, and nothing else, to stdout.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting, e.g. data.shape=32,48,32 or embedder.training.steps=500. Repeatable.",
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings in TOML.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run folder. [default: runs/, by the settings]"
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on with an audit of the same settings, or throw it away first.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, show the plan, train nothing.")
@click.pass_context
def audit(
    context: click.Context,
    embeddings: Path | None,
    exposure_embeddings: Path | None,
    policy_file: Path | None,
    json_file: str | None,
    settings: tuple[str, ...],
    config: Path | None,
    out: Path | None,
    device: str,
    resume: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Tell whether synthetic images may be released: pass, fail or inconclusive.

    Compares every synthetic image with every training image, and judges what is near by real
    images of strangers. Plants copies of the training images to measure how many it finds. Writes
    a run folder with the report, the numbers (audit.json), and two lists that name your files:
    copies.csv and exposed.csv. An audit that was stopped goes on with the same command.

    Exit status: 0 pass, 3 fail, 4 inconclusive, 2 for input that cannot be used.

    \b
    Examples:
      memtk audit --train train/ --val val/ --synthetic made/
      memtk audit --data manifest.csv --synthetic made.npz --policy policy.toml
      memtk audit --embeddings vectors.npz --json -
    """
    named = {key: options.pop(key) for key in ("train", "val", "held_out", "synthetic", "data")}
    asked = {key: value for key, value in options.items() if value is not None}
    with opening(json_file) as (registry, console, progress):
        from memtk.auditing import audit_embeddings, describe_audit, make_audit_plan, run_audit
        from memtk.report.terminal import audit_summary
        from memtk.results import read_policy

        policy = read_policy(policy_file)
        if embeddings is not None:
            _refuse_images(named, settings, config, asked, dry_run)
            if exposure_embeddings is not None and asked.get("exposure") is False:
                raise UserError("--exposure-embeddings and --no-exposure: give one of them")
            with progress:
                finished = audit_embeddings(
                    embeddings,
                    registry,
                    policy=policy,
                    other=exposure_embeddings,
                    out=out,
                    device=device,
                    resume=resume,
                    watch=progress,
                    **asked,
                )
        else:
            if exposure_embeddings is not None:
                raise UserError("--exposure-embeddings goes with --embeddings")
            if not named["synthetic"] and not any("synthetic_source" in s for s in settings):
                raise UserError(
                    "which images are audited? Name them: --train T --val V --synthetic S, or "
                    "--embeddings FILE.npz"
                )
            plan = make_audit_plan(
                registry, asked, data=data_settings(**named), config=config, sets=settings
            )
            with progress:
                if dry_run:
                    shown = describe_audit(plan, registry, watch=progress, out=out, device=device)
                    console.print(shown)
                    return
                finished = run_audit(
                    plan,
                    registry,
                    policy=policy,
                    out=out,
                    device=device,
                    resume=resume,
                    watch=progress,
                )
    if finished is None:
        return
    write_json(finished.audit, json_file)
    finish(console, audit_summary(finished.audit), finished.report)
    context.exit(EXITS[finished.audit.verdict.outcome])


def _refuse_images(
    named: dict[str, str | None],
    settings: tuple[str, ...],
    config: Path | None,
    asked: dict[str, Any],
    dry_run: bool,
) -> None:
    """See that nothing was asked that embeddings make pointless."""
    given = [f"--{key.replace('_', '-')}" for key, value in named.items() if value]
    given += ["--set"] if settings else []
    given += ["--config"] if config else []
    given += [f"--{k}" for k in ("embedder", "weights", "preset", "plants") if k in asked]
    given += ["--dry-run"] if dry_run else []
    if given:
        raise UserError(
            f"--embeddings takes the place of images and embedder: leave out {given[0]}"
        )
