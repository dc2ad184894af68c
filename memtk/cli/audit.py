"""The commands that judge given images: `memtk audit`, `memtk selftest`, `memtk release`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from memtk.cli.command import Command
from memtk.cli.options import (
    AUDIT_RUN,
    DETECTOR,
    DEVICE,
    DRY_RUN,
    JSON,
    POLICY,
    QUALITY,
    asked,
    data_settings,
    image_options,
    out_option,
    policy_option,
    resume_option,
    take_images,
)
from memtk.cli.terminal import EXITS, open_terminal, write_json
from memtk.errors import UserError, many


@click.command(cls=Command)
@image_options(synthetic=True)
@click.option(
    "--condition",
    multiple=True,
    metavar="COLUMN",
    help="Column of the manifests that says what each synthetic image was to be, such as view: "
    "what is found is reported by it too; repeatable.",
)
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="In place of images: arrays train (N, D), validation (V, D), synthetic (M, D) of an "
    "embedder of your own; and if you have them train_patient, validation_patient, train_stratum, "
    "validation_stratum, train_id, validation_id, synthetic_id, planted (K, D) with its "
    "planted_source.",
)
@click.option(
    "--exposure-embeddings",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="The same images by an embedder that saw the synthetic ones alone.",
)
@QUALITY
@DETECTOR
@click.option("--fdr", type=float, help="False discovery rate of what is flagged. [default: 0.1]")
@click.option(
    "--exposure/--no-exposure",
    default=None,
    help="Test training images and patients too, with a second embedder. [default: yes]",
)
@POLICY
@AUDIT_RUN
@click.option(
    "--keep-prepared",
    is_flag=True,
    help="Keep whole images in the run folder, not only what the embedder sees of them; whole ones "
    "are read again from their files otherwise.",
)
@DRY_RUN
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
    workers: int,
    resume: bool,
    keep_prepared: bool,
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
    named = take_images(options)
    given = asked(options)
    terminal = open_terminal(json_file)
    registry = terminal.registry
    with terminal.loading():
        from memtk.auditing import (
            EmbeddingAudit,
            audit_embeddings,
            describe_audit,
            make_audit_plan,
            read_embeddings,
            run_audit,
        )
        from memtk.report.terminal import audit_summary
        from memtk.results import read_policy
    policy = read_policy(policy_file)
    how: dict[str, Any] = {"policy": policy, "out": out, "device": device, "resume": resume}
    wanted = policy.levels | given
    named["stratify"] = named["stratify"] or wanted.pop("stratify", None)
    if embeddings is not None:
        wanted.pop("plants", None)
        _refuse_images(named, settings, config, given, dry_run)
        if exposure_embeddings is not None and wanted.get("exposure") is False:
            raise UserError("--exposure-embeddings and --no-exposure: give one of them")
        with terminal.progress() as progress:
            other = read_embeddings(exposure_embeddings) if exposure_embeddings else None
            these = EmbeddingAudit(read_embeddings(embeddings), other, **wanted)
            finished = audit_embeddings(these, registry, watch=progress, **how)
    else:
        if exposure_embeddings is not None:
            raise UserError("--exposure-embeddings goes with --embeddings")
        if not named["synthetic"] and not any("synthetic_source" in s for s in settings):
            raise UserError(
                "which images are audited? Name them: --train T --val V --synthetic S, or "
                "--embeddings FILE.npz"
            )
        plan = make_audit_plan(
            registry, wanted, data=data_settings(**named), config=config, sets=settings
        )
        plan = replace(plan, workers=workers, keep_prepared=keep_prepared)
        with terminal.progress() as progress:
            if dry_run:
                how.pop("resume")
                terminal.end(describe_audit(plan, registry, watch=progress, **how))
                return
            finished = run_audit(plan, registry, watch=progress, **how)
    if finished is None:
        return
    write_json(finished.audit.model_dump_json(indent=1), json_file)
    terminal.end(audit_summary(finished.audit, finished.folder), finished.report)
    context.exit(EXITS[finished.audit.verdict.outcome])


def _refuse_images(
    named: dict[str, Any],
    settings: tuple[str, ...],
    config: Path | None,
    asked: dict[str, Any],
    dry_run: bool,
) -> None:
    """See that nothing was asked that embeddings make pointless."""
    given = [f"--{key.replace('_', '-')}" for key, value in named.items() if value]
    given += ["--set"] if settings else []
    given += ["--config"] if config else []
    of_images = ("embedder", "weights", "preset", "plants", "quality")
    given += [f"--{key}" for key in of_images if key in asked]
    given += ["--dry-run"] if dry_run else []
    if given:
        raise UserError(
            f"--embeddings takes the place of images and embedder: leave out {given[0]}"
        )


@click.command(cls=Command)
@image_options(synthetic=False)
@DETECTOR
@click.option(
    "--confidence", type=float, default=0.95, show_default=True, help="Of the intervals, in (0, 1)."
)
@AUDIT_RUN
def selftest(
    json_file: str | None,
    confidence: float,
    settings: tuple[str, ...],
    config: Path | None,
    out: Path | None,
    device: str,
    workers: int,
    resume: bool,
    **options: Any,
) -> None:
    """Plant copies of training images and count how many are found, kind by kind.

    Trains the copy detector on the training images, changes some of them in graded ways (turned,
    mirrored, other contrast, blurred, noisy, shifted) and looks whether each is found, and whether
    the right training image is named. Real images of strangers give the false alarms. No synthetic
    images and no labels are needed: run it before you trust an audit.

    \b
    Examples:
      memtk selftest --data chest/manifest.csv
      memtk selftest --train train/ --val val/ --embedder ntxent2d --plants 50
    """
    named = take_images(options)
    wanted = asked(options)
    if not 0 < confidence < 1:
        raise UserError(f"--confidence {confidence:g}: it must lie between 0 and 1")
    if not named["train"] and not named["data"]:
        raise UserError("which images? Name them: --train T --val V, or --data manifest.csv")
    if wanted.get("plants") == 0:
        raise UserError("--plants 0: a self-test plants at least one copy")
    terminal = open_terminal(json_file)
    with terminal.loading():
        from memtk.auditing import make_audit_plan, run_selftest
        from memtk.report.terminal import selftest_table

        wanted["exposure"] = False
        plan = make_audit_plan(
            terminal.registry, wanted, data=data_settings(**named), config=config, sets=settings
        )
        plan = replace(plan, workers=workers)
    with terminal.progress() as progress:
        how: dict[str, Any] = {"out": out, "device": device, "resume": resume}
        finished = run_selftest(
            plan, terminal.registry, confidence=confidence, watch=progress, **how
        )
    if finished is None:
        return
    write_json(finished.selftest.model_dump_json(indent=1), json_file)
    terminal.end(selftest_table(finished.selftest))
    terminal.say(f"run folder: {finished.folder}")


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--drop",
    type=click.Choice(["flagged", "alpha"]),
    default="flagged",
    show_default=True,
    help="What is taken away: what is flagged at the false discovery rate, or every image with "
    "p <= alpha, a few innocent ones along.",
)
@click.option(
    "--second-embedder",
    "embedder",
    metavar="NAME",
    help="For the second audit. [default: the first, trained anew from other weights]",
)
@click.option("--second-similarity", "similarity", metavar="NAME", help="For the second audit.")
@policy_option("that of the first audit")
@out_option("Folder for all of it. [default: RUN/release]")
@JSON
@DEVICE
@resume_option("Go on, or anew.")
@click.pass_context
def release(
    context: click.Context,
    run: Path,
    drop: Literal["flagged", "alpha"],
    policy_file: Path | None,
    json_file: str | None,
    **options: Any,
) -> None:
    """Leave out the synthetic images that an audit named, and audit the others anew.

    RUN is the folder of a finished `memtk audit`. RUN/release/release.csv lists all synthetic
    images but those that it flagged and those nearest to exposed training images. What was chosen
    by a score cannot be tested by that score again, so these are audited with a second embedder,
    which had no part in the choice, by the policy of the first audit unless another is given.
    Another design (--second-embedder) says more than the same one trained again, which shares its
    blind spots.

    Where the audit named no image none is left out, and a second audit is made only if another
    embedder or similarity is asked for.

    Exit status: that of the second audit, or of the first where that is the only one: 0 pass, 3
    fail, 4 inconclusive.
    """
    terminal = open_terminal(json_file)
    with terminal.loading():
        from memtk.auditing import ReleaseOptions
        from memtk.auditing import release as release_audit
        from memtk.auditing.release import FIRST, SECOND, VOID
        from memtk.report.terminal import audit_summary
        from memtk.results import read_policy

    policy = read_policy(policy_file) if policy_file else None
    chosen = ReleaseOptions(policy, drop, options.pop("embedder"), options.pop("similarity"))
    with terminal.progress() as progress:
        made = release_audit(run, terminal.registry, chosen, watch=progress, **options)
    if made is None:
        return
    second = made.audit
    write_json(second.audit.model_dump_json(indent=1), json_file)
    kept = many(made.kept, "synthetic image", "is/are")
    if made.dropped:
        taken = "was" if made.dropped == 1 else "were"
        terminal.say(f"{kept} left, {made.dropped} {taken} taken away: {made.manifest}")
        terminal.found.print(f"{VOID} This is the second audit:", style="yellow")
    else:
        terminal.say(f"nothing is held back: the audit names no image. All are in {made.manifest}")
        terminal.found.print(SECOND if made.again else FIRST, style="yellow")
    terminal.end(audit_summary(second.audit, second.folder), second.report)
    context.exit(EXITS[second.audit.verdict.outcome])
