"""`memtk selftest`: would copies be noticed on these images?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from memtk.cli.images import data_settings, image_options
from memtk.cli.outcomes import finish, opening, write_json
from memtk.errors import UserError


@click.command()
@image_options(synthetic=False)
@click.option(
    "--embedder", "-e", metavar="NAME", help="Copy detector. [default: ntxent3d or ntxent2d]"
)
@click.option("--weights", metavar="PATH", help="Take the embedder as trained, see memtk audit.")
@click.option("--similarity", metavar="NAME", help="Likeness of two images. [default: pearson]")
@click.option("--preset", metavar="NAME", help="Size of the embedder. [default: audit, or demo]")
@click.option("--plants", type=int, metavar="K", help="Patients to plant copies of. [default: 100]")
@click.option("--alpha", type=float, help="Level of a single test. [default: 0.05]")
@click.option("--seed", type=int, metavar="N", help="All randomness follows from it. [default: 0]")
@click.option(
    "--confidence", type=float, default=0.95, show_default=True, help="Of the intervals, in (0, 1)."
)
@click.option(
    "--json", "json_file", metavar="FILE|-", help="Write the result as JSON; - prints it."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting. Repeatable."
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings in TOML.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. [default: runs/]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on, or anew.")
def selftest(
    json_file: str | None,
    confidence: float,
    settings: tuple[str, ...],
    config: Path | None,
    out: Path | None,
    device: str,
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
    named = {key: options.pop(key) for key in ("train", "val", "held_out", "data")}
    asked = {key: value for key, value in options.items() if value is not None}
    if not 0 < confidence < 1:
        raise UserError(f"--confidence {confidence:g}: it must lie between 0 and 1")
    if not named["train"] and not named["data"]:
        raise UserError("which images? Name them: --train T --val V, or --data manifest.csv")
    if asked.get("plants") == 0:
        raise UserError("--plants 0: a self-test plants at least one copy")
    with opening(json_file) as (registry, console, progress):
        from memtk.auditing import make_audit_plan, run_selftest
        from memtk.report.terminal import selftest_table

        asked["exposure"] = False
        plan = make_audit_plan(
            registry, asked, data=data_settings(**named), config=config, sets=settings
        )
        with progress:
            finished = run_selftest(
                plan,
                registry,
                confidence=confidence,
                out=out,
                device=device,
                resume=resume,
                watch=progress,
            )
    if finished is None:
        return
    write_json(finished.selftest, json_file)
    finish(console, selftest_table(finished.selftest), None)
    console.print(f"run folder: {finished.folder}", highlight=False, soft_wrap=True)
