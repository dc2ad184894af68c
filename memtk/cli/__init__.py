"""The command `memtk`; the module of a subcommand is imported when it is called."""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import signal
import sys
from itertools import pairwise
from typing import Any

import click

from memtk import __version__
from memtk.errors import PluginError, UserError, is_failure, one_line, printable, stop
from memtk.surroundings import kept

COMMANDS = {
    "audit": "Tell whether synthetic images may be released: pass, fail or inconclusive.",
    "bench": "Train a generator, sample it, and tell what it memorized.",
    "check": "Read and check all images, train nothing and leave nothing behind.",
    "data": "Get public data sets, or make phantoms as files.",
    "leaderboard": "Make tables of every result.json in DIR and below: a site, Markdown, CSV.",
    "list": "List what plugins bring: generators, embedders, similarities, ...",
    "plugins": "Show every plugin: its package and version, what it brings, and why one is left "
    "out.",
    "reference": "Show the numbers of Dar et al.",
    "release": "Leave out the synthetic images that an audit named, and audit the others anew.",
    "report": "Make RUN/report.html again from the results in the folder RUN, of a run or a study.",
    "results": "Show, check, repeat and collect the results of benches.",
    "review": "Let people read pairs of a finished RUN, blinded, and tell how often each rule is "
    "right.",
    "selftest": "Plant copies of training images and count how many are found, kind by kind.",
    "study": "Run a grid of benches and report how memorization and quality depend on the "
    "settings.",
}
"""The subcommands, each with the first sentence of its help: what `memtk --help` shows of it."""

NEEDED = 900_000_000
"""Bytes of memory that are taken before anything is done; with less, libraries hang or abort."""

OUT_OF_MEMORY = (
    "there is not enough memory for this. Smaller batches (bench.batch_size, audit.batch_size, the "
    "batch_size of a phase), --workers 1 or smaller images (data.shape) take less"
)
_NO_MEMORY = re.compile(r"(not enough|out of|allocate) memory|failed to map segment|new thread")

ELSEWHERE = {
    "list": ("plugins", "list_components"),
    "reference": ("results", "reference"),
    "release": ("audit", "release"),
    "report": ("results", "report"),
    "selftest": ("audit", "selftest"),
}
"""Module and function of commands that are not called as their module is."""


class _Refusal(click.ClickException):
    """A user error: the message alone, exit 2."""

    exit_code = 2

    def __init__(self, error: UserError) -> None:
        super().__init__(printable(str(error)))


class _Group(click.Group):
    def __init__(self, *args: Any, **asked: Any) -> None:
        super().__init__(*args, **asked)
        self.commands.update((name, click.Command(name)) for name in COMMANDS)  # did you mean?

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function = ELSEWHERE.get(cmd_name, (cmd_name, cmd_name))
        found: click.Command = getattr(importlib.import_module(f"memtk.cli.{module}"), function)
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is empty: as if not given, it would be taken for a default."""
        for before, word in pairwise(["", *args]):
            option = re.fullmatch("(--?[a-z-]+)=?", word or before)
            if not word or (word.endswith("=") and option):
                name = option[1] if option else "a word of the command"
                raise _Refusal(UserError(f"{name} is empty: give it a value, or leave it out"))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with kept():
                return super().invoke(ctx)
        except UserError as error:
            raise _Refusal(error) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads any more: click ends the program
                raise
            raise _Refusal(UserError(_told(error))) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BaseException as error:
            if _was_stopped(error):
                raise _Stopped from error
            if told := _blamed(error) if is_failure(error) else "":
                raise _Refusal(PluginError(told)) from error
            if _ran_out(error):
                raise _Refusal(UserError(f"{OUT_OF_MEMORY}: {one_line(error)[:200]}")) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _was_stopped(error: BaseException | None) -> bool:
    """Tell whether an error comes of an interrupt: Python wraps one in a class that is made."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None and not is_failure(error)


def _ran_out(error: BaseException) -> bool:
    """Tell whether there was not enough memory, in the words of Python, torch or the system."""
    said = isinstance(error, RuntimeError | ImportError) and _NO_MEMORY.search(str(error))
    return isinstance(error, MemoryError) or bool(said)


def _blamed(error: BaseException) -> str:
    """Return which plugin failed, "" where none did. The trace is printed for its author."""
    import traceback

    from memtk.plugins import GROUP, find_points

    of = {point.value.partition(":")[0].partition(".")[0]: point for point in find_points(GROUP)}
    trace = list(traceback.walk_tb(error.__traceback__))
    modules = [str(frame.f_globals.get("__name__", "?")) for frame, _ in trace]
    for module in reversed(modules):
        point = of.get(module.partition(".")[0])
        if point is not None and point.dist is not None and point.dist.name != "memtk":
            traceback.print_exception(error)
            return (
                f"plugin {point.name!r} of {point.dist.name} {point.dist.version} failed in "
                f"{module}: {one_line(error)}"
            )
    if isinstance(error, Exception):
        return ""
    return f"code of {modules[-1]} has ended the program ({one_line(error)})"


def _told(error: OSError) -> str:
    """Return what the operating system says, about which file, and the way out."""
    from memtk.files import reason_of

    what = reason_of(error, {errno.ENOTDIR}) or error.strerror or one_line(error)
    if error.filename is None:
        return f"cannot write what was to be printed: {what}"
    return f"{error.filename}: {what}"


class _Stopped(click.ClickException):
    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped; the same command goes on from here")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="memtk")
def cli() -> None:
    """Tell whether a generative model of medical images has memorized its patients.

    \b
    Start here, without any data of your own:
      memtk bench --generator monai3d --embedder ntxent3d --preset smoke
    Then with your own images, split by patient:
      memtk bench --generator monai3d --data manifest.csv --set data.shape=32,48,32
    Or with synthetic images that are there already: may they be released?
      memtk audit --train train/ --val val/ --synthetic made/
    """


def _surroundings() -> str:
    """Say what is wrong with the folder or the variables that it is started in, "" if nothing.

    Libraries that are imported fail on them, or end the program.
    """
    try:
        os.getcwd()
    except OSError:
        return "the folder that you are in is gone: change into another one"
    if not re.fullmatch("[0-9]{1,11}", os.environ.get("SOURCE_DATE_EPOCH", "0")):
        return "SOURCE_DATE_EPOCH is no number of seconds since 1970: unset it"
    if (most := _memory()) < NEEDED:
        return (
            f"only {most / 1e6:.0f} MB of memory may be taken (ulimit -v), and memtk takes "
            f"{NEEDED / 1e6:.0f} MB before it begins: raise the limit"
        )
    return ""


def _memory() -> int:
    """Return how many bytes this process may take by its limits, `NEEDED` where none is known."""
    try:
        with open("/proc/self/limits", encoding="utf-8") as file:
            found = re.search(r"^Max address space +(\d+)", file.read(), re.M)
    except OSError:  # there is none but on Linux
        return NEEDED
    return int(found[1]) if found else NEEDED


def main() -> None:
    """Run the command line. Set before torch is imported: threads that wait must not spin.

    With spinning threads one other busy process slows small convolutions 25-fold.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    for number in (0, 1, 2):  # where one is closed, the next file would take its place
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if wrong := _surroundings():
        click.echo(f"Error: {wrong}", err=True)
        sys.exit(2)
    os.environ["MPLBACKEND"] = "agg"  # figures are for files, whatever a notebook shows
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Ctrl-C, a job's end, a closed terminal: tidy up
        ends: int | None = getattr(signal, name, None)
        heard = (signal.SIG_DFL, signal.default_int_handler)
        if ends is not None and signal.getsignal(ends) in heard:  # no nohup
            signal.signal(ends, stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of cp1252 shows "?" for what it lacks
            stream.reconfigure(errors="replace")
    cli()
