"""`memtk report`: make the page of a finished run again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Make RUN/report.html again from the results in the folder RUN, of a run or a study.

    Nothing is trained or computed anew; sections of plugins that were installed since appear.
    """
    from memtk.registry import open_registry
    from memtk.report import build_audit_report, build_report

    if (run / "study.json").exists():
        from memtk.report import build_study_report

        click.echo(f"report: {build_study_report(run)}")
        return
    build = build_audit_report if (run / "audit.json").exists() else build_report
    click.echo(f"report: {build(run, open_registry())}")
