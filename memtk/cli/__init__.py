"""The command `memtk`: one file a subcommand. Nothing here imports torch."""

from __future__ import annotations

import os
from typing import Any

import click

from memtk import __version__
from memtk.cli.audit import audit
from memtk.cli.bench import bench
from memtk.cli.check import check
from memtk.cli.listing import list_components
from memtk.cli.plugins import plugins
from memtk.cli.release import release
from memtk.cli.report import report
from memtk.cli.selftest import selftest
from memtk.errors import UserError


class _Refusal(click.ClickException):
    """A user error: the message alone, exit 2."""

    exit_code = 2


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise _Refusal(str(error)) from error
        except KeyboardInterrupt as error:
            raise _Stopped from error


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


for command in (audit, bench, check, list_components, plugins, release, report, selftest):
    cli.add_command(command)


def main() -> None:
    """Run the command line. Set before torch is imported: threads that wait must not spin.

    With spinning threads one other busy process slows small convolutions 25-fold.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    cli()
