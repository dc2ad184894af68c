"""`memtk release`: take the flagged images away and look again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from memtk.cli.outcomes import EXITS, finish, opening, write_json


@click.command()
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
@click.option(
    "--policy", "policy_file", type=click.Path(path_type=Path), help="As for memtk audit."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for all of it. [default: RUN/release]"
)
@click.option("--json", "json_file", metavar="FILE|-", help="The second audit as JSON.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on, or anew.")
@click.pass_context
def release(
    context: click.Context,
    run: Path,
    drop: Literal["flagged", "alpha"],
    embedder: str | None,
    similarity: str | None,
    policy_file: Path | None,
    out: Path | None,
    json_file: str | None,
    device: str,
    resume: bool,
) -> None:
    """Write the list of the synthetic images of an audit that may go out, and audit those anew.

    RUN is the folder of a finished `memtk audit`. The images that it flagged, and those nearest to
    exposed training images, are left out of RUN/release/release.csv. What was chosen by a score
    cannot be tested by that score again, so what is left is audited with a second embedder, which
    had no part in the choice. Another design (--second-embedder) says more than the same one
    trained again, which shares its blind spots.

    Exit status: that of the second audit: 0 pass, 3 fail, 4 inconclusive.
    """
    with opening(json_file) as (registry, console, progress):
        from memtk.auditing import release as release_audit
        from memtk.auditing.release import VOID
        from memtk.report.terminal import audit_summary
        from memtk.results import read_policy

        with progress:
            made = release_audit(
                run,
                registry,
                policy=read_policy(policy_file),
                drop=drop,
                embedder=embedder,
                similarity=similarity,
                out=out,
                device=device,
                resume=resume,
                watch=progress,
            )
    if made is None:
        return
    write_json(made.audit.audit, json_file)
    left = f"{made.kept} synthetic images are left, {made.dropped} were taken away: {made.manifest}"
    console.print(left, highlight=False, soft_wrap=True)
    console.print(f"{VOID} This is the second audit:", style="yellow", highlight=False)
    finish(console, audit_summary(made.audit.audit), made.audit.report)
    context.exit(EXITS[made.audit.audit.verdict.outcome])
