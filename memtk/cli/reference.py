"""`memtk reference`: what the paper reports."""

from __future__ import annotations

import click


@click.command()
@click.option("--data-set", metavar="NAME", help="pccta, mrnet or chest-xray. [default: all]")
@click.option(
    "--system",
    metavar="NAME",
    help="MedDiff, MONAI, MONAI-2D, or memtk's names: meddiff3d, monai3d, monai2d. [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
def reference(data_set: str | None, system: str | None, as_json: bool) -> None:
    """Show the numbers of Dar et al. (arXiv 2402.01054 v2), each with what chance would give.

    The paper prints how often its rule and a radiologist agree as "sensitivity" and "specificity",
    but takes the rule as the truth: they are predictive values. Here they stand the right way
    round. Reports show the rows of a data set beside your own numbers when the suite is of that
    data set.

    \b
    Examples:
      memtk reference --data-set mrnet
      memtk reference --system monai2d --json
    """
    import json

    from memtk.results.reference import paper_numbers, select

    rows = select(data_set, system)
    if as_json:
        content = {
            "version": paper_numbers().version,
            "rows": [row.model_dump(mode="json") for row in rows],
        }
        click.echo(json.dumps(content, indent=1))
        return
    from rich.console import Console

    from memtk.report.study_terminal import paper_table

    Console().print(paper_table(rows), highlight=False)
