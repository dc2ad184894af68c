"""`memtk check`: whether the images can be audited at all, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from memtk.cli.command import Command
from memtk.cli.options import JSON, POLICY, WORKERS, data_settings, image_options, set_option
from memtk.cli.terminal import open_terminal, write_json
from memtk.errors import UserError, some

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from memtk.data.checks.findings import Finding, Report
    from memtk.data.config import DataConfig
    from memtk.evaluation.dry_run import Outlook
    from memtk.memorization import Exchangeability
    from memtk.results import Policy

MARKS = {"accepted": ("✓", "green"), "note": ("note", "yellow"), "refused": ("✗", "red")}


@click.command(cls=Command)
@click.argument("manifest", required=False)
@image_options(synthetic=True)
@POLICY
@set_option("A setting of the data, e.g. data.shape=32,48,32.")
@JSON
@WORKERS
@click.pass_context
def check(
    context: click.Context,
    manifest: str | None,
    settings: tuple[str, ...],
    json_file: str | None,
    policy_file: Path | None,
    workers: int,
    **sources: str | None,
) -> None:
    """Read and check all images, train nothing and leave nothing behind.

    MANIFEST names the images as --data does.

    Refuses what makes an audit meaningless: a patient in two splits, one image in two splits,
    images that cannot be read, are blank or differ in size, synthetic images that lie otherwise
    than the real ones. Says whether training and validation patients look like one population, and
    the synthetic images like theirs; how many patients and images a pass takes; and how few copies
    would be told. Ends with 0 if the images are accepted, with 2 if not.

    \b
    Examples:
      memtk check manifest.csv
      memtk check --train train/ --val val/ --synthetic generated/
      memtk check --data mri/manifest.csv --set data.shape=32,48,32 --json check.json
    """
    if manifest is not None and sources["data"] is not None:
        raise UserError(f"{manifest} and --data {sources['data']}: name the images once")
    sources["data"] = manifest or sources["data"]
    terminal = open_terminal(json_file)
    with terminal.loading("the readers"):
        from memtk.data.checks.examination import examine
        from memtk.evaluation.population import PopulationCheck
        from memtk.results import read_policy

        policy = read_policy(policy_file)
        sources["stratify"] = sources["stratify"] or policy.stratify
        config = _config(sources, settings)
    population = PopulationCheck(policy.seed)
    with terminal.progress() as progress:
        report = examine(config, terminal.registry, progress, population, workers)
    alike, expected = population.tests(), _outlook(report, policy)
    findings = [*report.findings, *population.findings(alike)]
    findings += [expected.finding(made="synthetic" in report.groups)] if expected else []
    write_json(_json(report, findings, alike, expected), json_file)
    _show(terminal.found, report, findings)
    if not report.accepted:
        context.exit(2)


def _config(sources: dict[str, Any], settings: tuple[str, ...]) -> DataConfig:
    from memtk.config import build, layered, merge, parse_set
    from memtk.data.config import DataConfig

    asked = merge(*(parse_set(text) for text in settings))
    for table, value in asked.items():
        if table != "data" or not isinstance(value, dict):
            raise UserError(f"--set {table}: memtk check has settings data.KEY=VALUE alone")
    said = layered(asked, {"data": data_settings(**sources)})["data"]
    if "source" not in said:
        raise UserError("name the images: memtk check MANIFEST, or --train T --val V")
    return build(DataConfig, said, where="data")


def _outlook(report: Report, policy: Policy) -> Outlook | None:
    """Return what an audit of as many images can show; None where there is none to audit."""
    from memtk.evaluation.dry_run import outlook
    from memtk.memorization import Sizes

    counts = report.groups
    if not counts or not counts["training"].patients or not counts["validation"].patients:
        return None
    training = counts["training"].patients
    made = counts["synthetic"].images if "synthetic" in counts else training
    sizes = Sizes(training, counts["validation"].patients, made, min(policy.plants, training))
    return outlook(sizes, policy)


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
    said = "refused by " + some(refused, len(findings), "check") if refused else "accepted"
    console.print(said + (f"; notes: {notes}" if notes else ""))


def _json(
    report: Report,
    findings: list[Finding],
    alike: dict[str, Exchangeability | None],
    expected: Outlook | None,
) -> str:
    import json
    from dataclasses import asdict

    from memtk import __version__

    said = {
        "memtk_version": __version__,
        "accepted": report.accepted,
        "checks": [asdict(finding) for finding in findings],
        "groups": {name: asdict(group) for name, group in report.groups.items()},
        **{name: asdict(test) if test else None for name, test in alike.items()},
        "outlook": {
            "sizes": asdict(expected.sizes),
            "policy": expected.policy.model_dump(),
            **asdict(expected.best),
        }
        if expected
        else None,
    }
    return json.dumps(said, indent=2, ensure_ascii=False)
