"""Pairs of images read by people: `memtk review`."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtk.cli.command import Command
from memtk.cli.options import JSON
from memtk.cli.terminal import Terminal, open_terminal, write_json
from memtk.errors import UserError, many
from memtk.files import write_text

if TYPE_CHECKING:
    from memtk.reviewing import Draw, ReadingPage, ReviewedSet

_DRAWN = {
    "pairs": "--pairs",
    "controls": "--controls",
    "over": "--over",
    "stratified": "--stratified/--random",
    "seed": "--seed",
}
"""Options of the draw."""

_USED = {
    "": {"--reader", "--consensus", "--port", "--open/--no-open", *_DRAWN.values()},
    "--export": {"--reader", "--consensus", *_DRAWN.values()},
    "--add": {"--reader", "--consensus", "--json"},
    "--plan": {"--json", *_DRAWN.values()},
    "--show": {"--json"},
}
"""The options that do something, by what is asked for; "": pairs are read here."""


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--cell", metavar="NAME", help="Of a bench with several.")
@click.option("--reader", metavar="NAME", help="Who reads; stored as given. [default: reader]")
@click.option("--pairs", type=int, metavar="N", help="Pairs to draw. [default: 100]")
@click.option(
    "--controls",
    type=int,
    metavar="K",
    help="Planted copies, and as many pairs of strangers, mixed in unmarked. [default: 10]",
)
@click.option(
    "--over",
    type=click.Choice(["training", "synthetic"]),
    help="Of which images a pair each is drawn, with the nearest of the others. [default: "
    "training, as in the paper]",
)
@click.option(
    "--stratified/--random",
    default=None,
    help="Draw more pairs near the threshold of the reference rule, and weight them. [default: "
    "random]",
)
@click.option("--seed", type=int, metavar="N", help="Of the draw and of the orders. [default: 0]")
@click.option(
    "--consensus",
    is_flag=True,
    help="Show the pairs on which readers disagree; with --add, take over what they agreed on.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write the page as one file that needs no memtk. It holds the images.",
)
@click.option(
    "--add",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="labels.json",
    help="Take over labels that such a page has saved. Repeatable.",
)
@click.option("--plan", is_flag=True, help="Tell how many pairs and readers for which interval.")
@click.option("--show", is_flag=True, help="Show what the labels say so far.")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", help="[default: any that is free]"
)
@click.option(
    "--open/--no-open",
    "browser",
    default=None,
    help="Open the page in the browser. [default: where there is a screen]",
)
@JSON
def review(
    run: Path,
    cell: str | None,
    reader: str | None,
    consensus: bool,
    export: Path | None,
    add: tuple[Path, ...],
    plan: bool,
    show: bool,
    port: int | None,
    browser: bool | None,
    json_file: str | None,
    **asked: Any,
) -> None:
    """Let people read pairs of a finished RUN, blinded, and tell how often each rule is right.

    RUN is the folder of a bench or an audit. Pairs of a training image and the synthetic image
    nearest to it are shown side by side, in another order to each reader, without similarity,
    verdict or name; a reader calls each novel or a copy. Among them are planted copies and pairs of
    strangers, by which the readers themselves are known. Labels are kept at once in RUN/review/,
    and a reading that was stopped goes on with the same command.

    The page is served on this machine alone, at an address that nobody can guess. With --export it
    is a file for readers elsewhere, whose labels come back with --add.

    \b
    Examples:
      memtk review runs/NAME --plan
      memtk review runs/NAME --reader anna
      memtk review runs/NAME --reader ben --export pairs.html
      memtk review runs/NAME --add labels.json
      memtk review runs/NAME --show
    """
    modes = {"--export": export, "--add": add, "--plan": plan, "--show": show}
    doing = [name for name, given in modes.items() if given]
    if len(doing) > 1:
        raise UserError("--export, --add, --plan and --show: give one of them")
    if consensus and reader:
        raise UserError("--consensus is read under that name: leave --reader out")
    _refuse_idle(
        doing[0] if doing else "",
        {
            "--reader": reader,
            "--consensus": consensus or None,
            "--port": port,
            "--open/--no-open": browser,
            "--json": json_file,
            **{_DRAWN[key]: value for key, value in asked.items()},
        },
    )
    terminal = open_terminal(json_file)
    with terminal.loading():
        from memtk.results.review import CONSENSUS
        from memtk.reviewing import open_draw, open_set

    reviewed = open_set(run, cell)
    options = {key: value for key, value in asked.items() if value is not None}
    if reader == CONSENSUS:
        raise UserError(f"--reader {CONSENSUS}: that is the name of what --consensus reads")
    if plan:
        _plan(terminal, reviewed, options, json_file)
        return
    draw = open_draw(reviewed, options)
    for path in add:
        _add(terminal, reviewed, draw, path, CONSENSUS if consensus else reader)
    if not add and not show:
        page = _page(reviewed, draw, reader, consensus)
        if export is not None:
            where = page.export(export)
            terminal.say(
                f"{where}: {many(len(page.names), 'pair')} for {page.labels.reader}, "
                f"{where.stat().st_size / 1e6:.1f} MB. It holds images of patients. Labels come "
                f"back with: memtk review {run} --add labels.json"
                f"{' --consensus' if consensus else ''}"
            )
            return
        _serve(terminal, page, port or 0, browser is not False)
        _closed(terminal, f"{run}{f' --cell {cell}' if cell else ''}", page)
        return
    _end(terminal, run, reviewed, draw, json_file)


def _refuse_idle(doing: str, given: Mapping[str, object]) -> None:
    """Refuse options that do nothing beside another one.

    Args:
        doing: "--export", "--add", "--plan", "--show", or "": pairs are read here.
        given: all other options; None: left out.

    Raises:
        UserError: naming the first one that does nothing.
    """
    for name, value in given.items():
        if value is not None and name not in _USED[doing]:
            raise UserError(
                f"{name} does nothing with {doing}: leave it out"
                if doing
                else f"{name} does nothing while pairs are read: --show has what they say"
            )


def _add(
    terminal: Terminal, reviewed: ReviewedSet, draw: Draw, path: Path, reader: str | None
) -> None:
    from memtk.reviewing import add_file, all_labels

    before = {each.reader: each.labels for each in all_labels(reviewed.folder, draw)}
    said = add_file(reviewed.folder, draw, path, reader)
    mine = before.get(said.reader, {})
    changed = sum(said.labels[name] != old for name, old in mine.items())
    replaced = f"; it replaces {many(changed, 'label')} of {said.reader}" if changed else ""
    terminal.say(f"{said.reader}: {many(len(said.labels), 'label')}{replaced}")


def _page(reviewed: ReviewedSet, draw: Draw, reader: str | None, consensus: bool) -> ReadingPage:
    from memtk.results.review import CONSENSUS
    from memtk.reviewing import ReadingPage, all_labels, disputed, read_labels

    only = None
    if consensus:
        only = disputed(draw, all_labels(reviewed.folder, draw))
        if not only:
            raise UserError("no two readers disagree on a pair: there is nothing to agree on")
    name = CONSENSUS if consensus else reader or "reader"
    return ReadingPage(reviewed, draw, read_labels(reviewed.folder, draw, name), only)


def _serve(terminal: Terminal, page: ReadingPage, port: int, browser: bool) -> None:
    from memtk.reviewing.server import ReadingServer

    server = ReadingServer(page, port)

    def ready(address: str) -> None:
        terminal.say(
            f"{many(len(page.names), 'pair')} for {page.labels.reader}, at\n{address}\n"
            "The reading ends on the page, or here with Ctrl-C; the same command goes on."
        )
        if browser and _has_screen():
            write_text(leading, leading_page(address), private=True)
            webbrowser.open(leading.absolute().as_uri())

    leading = page.reviewed.folder / f"open-{server.port}.html"
    try:
        server.run(ready)
    except KeyboardInterrupt:
        terminal.found.print()
    finally:
        leading.unlink(missing_ok=True)


def leading_page(address: str) -> str:
    """Return a page that leads to an address: what a browser is started with, all users can see."""
    return (
        '<!doctype html><meta charset="utf-8"><title>Novel or copy?</title>'
        f'<meta http-equiv="refresh" content="0; url={address}"><a href="{address}">Go on</a>\n'
    )


def _closed(terminal: Terminal, run: str, page: ReadingPage) -> None:
    """Keep what the labels say so far, and tell this reader nothing of it: they may go on."""
    from memtk.reviewing import read_labels, write_review

    write_review(page.reviewed, page.draw)
    said = read_labels(page.reviewed.folder, page.draw, page.labels.reader).labels
    terminal.say(
        f"{len(said.keys() & set(page.names))} of {len(page.names)} read; "
        f"`memtk review {run} --show` says what it means"
    )


def _has_screen() -> bool:
    """Tell whether a browser can be opened that doesn't take over the terminal."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in screens)


def _end(
    terminal: Terminal, run: Path, reviewed: ReviewedSet, draw: Draw, json_file: str | None
) -> None:
    from memtk.report.review import papers, review_summary
    from memtk.reviewing import write_review

    found = write_review(reviewed, draw)
    write_json(found.model_dump_json(indent=1), json_file)
    terminal.end(review_summary(found, papers(reviewed.record)))
    if found.read:
        terminal.say(f"memtk report {run} puts it into the report")


def _plan(
    terminal: Terminal, reviewed: ReviewedSet, asked: dict[str, Any], json_file: str | None
) -> None:
    from rich.text import Text

    from memtk.report.terminal_tables import make_table
    from memtk.results.formats import ends, share
    from memtk.reviewing import plan_reading

    found = plan_reading(reviewed, asked)
    write_json(found.model_dump_json(indent=1), json_file)

    titles = ("copies", "sensitivity", "specificity", "kappa", "a reader's hours")
    table = make_table("pairs", *titles)
    for each in found.sizes:
        table.add_row(
            str(each.pairs),
            f"{each.copies:.0f}",
            ends(*each.sensitivity),
            ends(*each.specificity),
            f"± {each.kappa:.2f}",
            f"{each.hours:.1f}",
        )
    terminal.found.print(table)
    how = "stratified" if found.options.stratified else "random"
    lines = [
        f"A {how} draw over {found.options.over} images, of which there are {found.available}; the "
        f"reference rule flags {share(found.flagged)} of them. Copies are what is expected, and "
        f"the intervals ({share(found.confidence)}) what is shown, if that rule is right in 90% "
        "of the copies and of the novel pairs; kappa if two readers agree in 90%; hours at "
        f"{found.seconds:g} s a pair.",
        "If each reader is right in 90%, most of "
        + ", of ".join(f"{k} in {share(rate)}" for k, rate in found.majority.items() if k > 1)
        + ". One reader cannot disagree with anybody: take at least two.",
    ]
    if found.controls is not None:
        lines.append(
            f"Of {found.options.controls} controls of a kind, all right, a reader is shown to be "
            f"right in {share(found.controls)} at least."
        )
    for line in lines:
        terminal.found.print(Text(line, style="dim"))
