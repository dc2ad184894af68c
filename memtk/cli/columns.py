"""Two columns of text, as wide as the terminal."""

from __future__ import annotations

import os

import click

WIDEST = 120
"""Columns of the terminal that are used at the most."""


def two_columns() -> click.HelpFormatter:
    """Return a formatter as click makes it, without `shutil`, whose import takes too long."""
    return click.HelpFormatter(width=max(min(_terminal(), WIDEST) - 2, 50))


def _terminal() -> int:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size().columns or 80
    except (OSError, ValueError):  # not a terminal; closed
        return 80
