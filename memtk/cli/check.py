"""`memtk check`: whether the images can be audited at all, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memtk.cli.options import JSON, data_settings, image_options, set_option
from memtk.cli.terminal import open_terminal, write_json
from memtk.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from memtk.data.checks.findings import Finding, Report
    from memtk.data.config import DataConfig

MARKS = {"accepted": ("✓", "green"), "note": ("note", "yellow"), "refused": ("✗", "red")}

FDR = 0.1
"""False discovery rate of what an audit flags, if nothing else is asked."""


@click.command()
@image_options(synthetic=True)
@set_option("A setting of the data, e.g. data.shape=32,48,32.")
@JSON
@click.pass_context
def check(
    context: click.Context,
    settings: tuple[str, ...],
    json_file: str | None,
    **sources: str | None,
) -> None:
    """Read and check all images, train nothing and leave nothing behind.

    Refuses what makes an audit meaningless: a patient in two splits, one image in two splits,
    images that cannot be read, are blank or differ in size, synthetic images that lie otherwise
    than the real ones. Ends with 0 if the images are accepted, with 2 if not.

    \b
    Examples:
      memtk check --data manifest.csv
      memtk check --train train/ --val val/ --synthetic generated/
      memtk check --data mri/manifest.csv --set data.shape=32,48,32 --json check.json
    """
    terminal = open_terminal(json_file)
    with terminal.loading("the readers"):
        from memtk.data.checks.examination import examine

        config = _config(sources, settings)
    with terminal.progress() as progress:
        report = examine(config, terminal.registry, progress)
    findings = [*report.findings, *_power(report)]
    write_json(_json(report, findings), json_file)
    _show(terminal.found, report, findings)
    if not report.accepted:
        context.exit(2)


def _config(sources: dict[str, str | None], settings: tuple[str, ...]) -> DataConfig:
    from memtk.config import build, merge, parse_set
    from memtk.data.config import DataConfig

    asked = merge(*(parse_set(text) for text in settings))
    for table, value in asked.items():
        if table != "data" or not isinstance(value, dict):
            raise UserError(f"--set {table}: memtk check has settings data.KEY=VALUE alone")
    said, given = asked.get("data", {}), data_settings(**sources)
    twice = sorted(set(given) & set(said))
    if twice:
        raise UserError(f"--set data.{twice[0]} and an option both name images: give one of them")
    if "source" not in {**said, **given}:
        raise UserError("name the images: --data MANIFEST, or --train T --val V")
    return build(DataConfig, said, given, where="data")


def _power(report: Report) -> list[Finding]:
    """Say what as many validation patients allow: the finest p-value is 1 / (P + 1).

    Benjamini and Hochberg's rule flags k of M images whose p-value is the finest if that is at
    most `FDR k / M`.
    """
    import math

    from memtk.data.checks.findings import Finding

    title = "validation patients are enough"
    patients = report.groups["validation"].patients if report.groups else 0
    if not patients:
        return []
    text = f"{patients} of them: the smallest p-value is 1/{patients + 1}"
    share = 1 / (FDR * (patients + 1))
    level, least = f"{100 * FDR:g} %", math.ceil(1 / FDR) - 1
    if share > 1:
        text += f"; at a false discovery rate of {level} no synthetic image can be flagged"
        way = f"At least {least} are needed; with more of them, fewer copies are enough"
        return [Finding(title, "note", text, way)]
    synthetic = report.groups.get("synthetic")
    # share * M is often whole; rounding must not make it one more
    fewest = math.ceil(share * synthetic.images * (1 - 1e-12)) if synthetic else 0
    text += (
        f", so at a false discovery rate of {level} copies can be flagged once they are "
        f"{100 * share:.1f} % of the synthetic images" + (f" ({fewest})" if synthetic else "")
    )
    return [Finding(title, "accepted", text)]


def _show(console: Console, report: Report, findings: list[Finding]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    counts = Table(box=SIMPLE_HEAD)
    for column in ("", "images", "patients", "voxels", "voxel size (mm)"):
        counts.add_column(column, justify="right" if column in {"images", "patients"} else "left")
    for name, group in report.groups.items():
        if not group.images:
            continue
        shapes = [" x ".join(map(str, shape)) for shape in group.shapes]
        more = f" and {len(shapes) - 1} more" if len(shapes) > 1 else ""
        counts.add_row(
            name.replace("_", " "),
            str(group.images),
            "" if name == "synthetic" else str(group.patients),
            "".join([*shapes[:1], more]),
            " x ".join(f"{size:.3g}" for size in group.spacing),
        )
    if not console.is_terminal:
        console.width = 120  # a file or a pipe: no need to fold
    table = Table(box=SIMPLE_HEAD)
    table.add_column("check", max_width=30)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for finding in findings:
        text = Text(finding.found)
        if finding.way_out:
            text.append("\n" + finding.way_out.replace("\n", " "), style="italic")
        table.add_row(finding.check, Text(*MARKS[finding.outcome]), text)
    if report.groups:
        console.print(counts)
    console.print(table)
    refused = sum(finding.outcome == "refused" for finding in findings)
    notes = sum(finding.outcome == "note" for finding in findings)
    said = f"refused by {refused} of {len(findings)} checks" if refused else "accepted"
    console.print(said + (f"; notes: {notes}" if notes else ""), highlight=False)


def _json(report: Report, findings: list[Finding]) -> str:
    import json
    from dataclasses import asdict

    from memtk import __version__

    said = {
        "memtk_version": __version__,
        "accepted": report.accepted,
        "checks": [asdict(finding) for finding in findings],
        "groups": {name: asdict(group) for name, group in report.groups.items()},
    }
    return json.dumps(said, indent=2, ensure_ascii=False)
