"""What becomes of results: `memtk results`, `memtk report`, and the paper's, `memtk reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtk.cli.command import Command, Group
from memtk.cli.options import DEVICE, Bounded, out_option, set_option
from memtk.cli.terminal import open_terminal, plain_table

if TYPE_CHECKING:
    from memtk.results import Evidence

WRONG = 3
"""Exit status where a result is not what it says, or did not come out again."""

WAY_OUT = "`memtk results validate` says all that is wrong with it"


@click.group(cls=Group)
def results() -> None:
    """Show, check, repeat and collect the results of benches.

    \b
    Examples:
      memtk results show runs/NAME
      memtk results validate runs/NAME
      memtk results rerun runs/NAME/cells/monai2d/result.json
      memtk results recompute runs/NAME --protocol my-rule
      memtk results add runs/NAME benchmarks/results
    """


@results.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--all", "every", is_flag=True, help="Show every check of good files too.")
@click.pass_context
def validate(context: click.Context, files: tuple[Path, ...], every: bool) -> None:
    """Check result files: the schema, the sums, the arrays beside them.

    A good file is one line; of another all checks are shown.

    FILE is a result.json or a folder, which is searched for such files. Counts must add up,
    fractions equal their counts, nulls follow from the sizes, intervals hold their estimates, the
    arrays.h5 beside give the same numbers (all that a rank rests on), and nothing may name a path
    or a patient. The schema is published in docs/reference/result.schema.json.

    Exit status: 0 all is well, 3 something is wrong, 2 a file cannot be read.
    """
    from rich.text import Text

    from memtk.console import open_console
    from memtk.evaluation.proof import validate_and_prove as look_at
    from memtk.results.run import find_results

    console, wrong = open_console(), 0
    found = [path for file in files for path in find_results(file)]
    for path in found:
        said = look_at(path)
        wrong += bool(said.failed)
        if not said.failed and not every:
            skipped = sum(check.outcome == "skipped" for check in said.checks)
            rest = f", {skipped} not for this file" if skipped else ""
            done = f"{len(said.checks) - skipped} checks{rest}"
            console.print(Text.assemble(("ok", "green"), f"  {path}: {done}"), soft_wrap=True)
            continue
        table = plain_table(
            "check", "", "looked at, or what is wrong", title=str(path), overflow="fold"
        )
        for check in said.checks:
            colour = {"ok": "green", "failed": "bold red", "skipped": "dim"}[check.outcome]
            table.add_row(check.name, Text(check.outcome, style=colour), Text(check.detail))
        console.print(table)
    console.print(f"{len(found) - wrong} of {len(found)} valid")
    context.exit(WRONG if wrong else 0)


@results.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", metavar="PATH", help="The images, where the result is on your own.")
@set_option("What the file hides because it names a place, e.g. generator.source=made/.")
@click.option(
    "--tolerance",
    type=Bounded(0),
    default=0.01,
    show_default=True,
    help="Difference that other processors and versions may make: of shares and similarities "
    "itself, of counts as a share of the images, of other numbers as a share of their size.",
)
@out_option("Keep the run in this folder.")
@DEVICE
@click.pass_context
def rerun(
    context: click.Context,
    file: Path,
    data: str | None,
    settings: tuple[str, ...],
    tolerance: float,
    out: Path | None,
    device: str,
) -> None:
    """Repeat a cell from its result FILE alone, and compare every number.

    FILE is a result.json, or a folder with one such file in it. Components, settings, data, sizes
    and seed are those of the file. Phantoms are made anew; own images are given with --data and
    must have the fingerprint that the file states.

    Exit status: 0 the same numbers within the tolerance, 3 not, 2 it cannot be repeated.
    """
    import tempfile

    from memtk.results import read_result
    from memtk.results.run import find_one

    stored = read_result(find_one(file), WAY_OUT)
    terminal = open_terminal()
    with terminal.loading():
        from memtk.bench import reproduce as again
    with tempfile.TemporaryDirectory() as folder, terminal.progress() as progress:
        repeated = again.reproduce(
            stored,
            terminal.registry,
            out=out or Path(folder) / "run",
            data=data,
            sets=settings,
            device=device,
            watch=progress,
        )
    if repeated is None:  # another process than the first
        return
    context.exit(_compared(stored, repeated, tolerance, again.changed_packages(stored, repeated)))


def _compared(stored: Any, repeated: Any, tolerance: float, notes: list[str]) -> int:
    """Print both results side by side; return the exit status."""
    from rich.text import Text

    from memtk.console import open_console
    from memtk.results.differences import compare

    console, lines = open_console(), compare(stored, repeated, tolerance)
    table = plain_table("number", "stored", "repeated", "", title=stored.cell, overflow="fold")
    words = {"equal": "equal", "close": "within tolerance", "differs": "differs"}
    colours = {"equal": "green", "close": "yellow", "differs": "bold red"}
    for line in lines:
        shown = ["-" if x is None else f"{x:.6g}" for x in (line.stored, line.repeated)]
        table.add_row(line.name, *shown, Text(words[line.outcome], style=colours[line.outcome]))
    console.print(table)
    for note in notes:
        console.print(note, style="dim")
    count = {name: sum(line.outcome == name for line in lines) for name in words}
    console.print(
        f"{count['equal']} equal, {count['close']} within {tolerance:g}, {count['differs']} differ"
    )
    return WRONG if count["differs"] else 0


@results.command()
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Show a result FILE as tables: what was found, with what, on which images.

    FILE is a result.json, or a folder that is searched for such files: a run, or several. `memtk
    report` shows an audit or a study.
    """
    from rich.text import Text

    from memtk.console import open_console
    from memtk.results.run import find_results

    console, found = open_console(), find_results(file)
    for path in found:
        if len(found) > 1:
            console.print(Text(f"\n{path}", style="bold"))
        _show(path, console)


def _show(path: Path, console: Any) -> None:
    from memtk.errors import many
    from memtk.report.provenance import provenance_of
    from memtk.report.terminal import summary
    from memtk.results import read_result

    result = read_result(path, WAY_OUT)
    console.print(summary([result]))
    origin = provenance_of(result)
    table = plain_table("", "", "package", overflow="fold")
    for part in origin.components:
        table.add_row(part.role, part.name, part.origin)
    for name, images, patients in origin.counts:
        of = "" if patients is None else many(patients, "patient")
        table.add_row(name, many(images, "image"), of)
    for name, value in origin.facts:
        table.add_row(name, value, "")
    console.print(table)


@results.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("into", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--report", is_flag=True, help="Take report.html along. It shows training images: public ones?"
)
def add(run: Path, into: Path, report: bool) -> None:
    """Copy the results in the folder RUN into the collection DIR, ready to be handed in.

    RUN may hold several runs, as a study does. For each finished cell,
    DIR/SUITE-VERSION/PRESET/CELL-KEY/seed-N/ gets result.json, in which whatever names a path or
    may name a patient is hidden, and arrays.h5. No image, no embedding, no weights and no key are
    taken.
    """
    from memtk.results.collect import add as collect
    from memtk.results.run import find_runs

    for each in find_runs(run):
        for folder in collect(each, into, report=report):
            click.echo(f"added: {folder}")


@results.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    "names",
    multiple=True,
    metavar="NAME",
    help="Protocol to apply; repeatable. all: every one that is installed.",
)
@click.option(
    "--evidence",
    is_flag=True,
    help="Test, bound and decide anew too, by the rules of this version of memtk.",
)
@click.option(
    "--sensitivity",
    type=click.Choice(["readers", "planted"]),
    help="With --evidence: what corrects the copy rate, the sensitivity to what readers called "
    "copies (memtk review RUN --over synthetic) or to planted copies. [default: as it was]",
)
@click.option("--dry-run", is_flag=True, help="Print the tables and change no file.")
def recompute(
    run: Path, names: tuple[str, ...], evidence: bool, sensitivity: str | None, dry_run: bool
) -> None:
    """Apply protocols to the finished RUN, from its arrays, without training.

    RUN is the folder of a bench or an audit, a result.json, or a folder that is searched for such
    files. The table of each protocol is put into the result files, in place of one of the same
    name. The verdict rests on no protocol and stays, unless --evidence lets it be found anew by the
    rules of this version. `memtk report RUN` then shows it.

    \b
    Examples:
      memtk results recompute runs/NAME --protocol my-rule
      memtk results recompute runs/NAME --protocol all --dry-run
      memtk results recompute runs/NAME --evidence
      memtk results recompute runs/NAME --evidence --sensitivity readers
    """
    if sensitivity and not evidence:
        raise click.UsageError("--sensitivity goes with --evidence")
    if not names and not evidence:
        raise click.UsageError("what is to be recomputed? --protocol NAME, --evidence, or both")
    from rich.text import Text

    from memtk.console import open_console
    from memtk.registry import open_registry

    registry = open_registry()
    every = registry.entries("protocol")
    entries = every if "all" in names else [registry.find("protocol", n) for n in names]
    with open_terminal().loading():
        from memtk.evaluation.recompute import Readers
        from memtk.evaluation.recompute import recompute as apply

        readers: Readers | None = None
        if sensitivity == "planted":
            readers = _no_readers
        elif sensitivity == "readers":
            from memtk.reviewing import readers_arrays as readers
    from memtk.report.terminal_tables import brief

    console, shown = open_console(), ""
    for found in apply(run, entries, evidence=evidence, readers=readers, write=not dry_run):
        if str(found.path) != shown:
            shown = str(found.path)
            console.print(Text(shown, style="bold"))
        table = plain_table(
            "protocol", "measure", "found, in brackets by chance", title=found.label
        )
        if found.evidence is not None:
            for title, said in _said(found.evidence):
                table.add_row("", title, said)
        for protocol, measures in found.tables.items():
            for record in measures.values():
                row = (protocol, record.title, brief(record))
                table.add_row(*map(Text, row))
        console.print(table)
    said = "no file was changed" if dry_run else "the files are written"
    if not dry_run and (run / "report.html").exists():
        said = f"memtk report {run} makes its report again"
    console.print(said)


def _no_readers(path: Path, label: str) -> dict[str, Any]:
    return {}


def _said(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Return what was found anew, one a line."""
    from memtk.results.formats import interval, share

    if rate := evidence.copy_rate:
        confidence = evidence.confidence or 0.95
        ends = interval(rate.low, rate.high, confidence)
        yield "copy rate", f"{share(rate.estimate)}, {ends}{evidence.readers_note('; {}')}"
    if named := evidence.copies:
        yield "copies", named.found
    if exposed := evidence.exposed:
        yield "patients exposed", f"{exposed.ends} of {exposed.of}"


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Make RUN/report.html again from the results in the folder RUN, of a run or a study.

    A file in RUN, such as result.json or audit.json, means the same.

    Prints the answer, and what can be done now, with the names of your files. Nothing is trained
    or computed anew; sections of plugins that were installed since appear.
    """
    from memtk.results.run import run_of

    run, _ = run_of(run)
    terminal = open_terminal()
    with terminal.loading("the report"):
        from memtk.report import build_audit_report, build_report, build_study_report
    registry = terminal.registry
    if (run / "study.json").exists():
        from memtk.report.study_terminal import study_answer
        from memtk.results.study import read_study

        page = build_study_report(run)
        terminal.end(study_answer(read_study(run)), page)
    elif (run / "audit.json").exists():
        from memtk.report.terminal import audit_answer
        from memtk.results import read_audit

        page = build_audit_report(run, registry)
        terminal.end(audit_answer(read_audit(run / "audit.json"), run), page)
    else:
        from memtk.report.terminal import bench_answer
        from memtk.results import read_run

        page = build_report(run, registry)
        terminal.end(bench_answer(read_run(run).results, run), page)


@click.command(cls=Command)
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
    from memtk.console import open_console
    from memtk.report.study_terminal import paper_table

    open_console().print(paper_table(rows))
