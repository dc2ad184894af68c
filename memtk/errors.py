"""Errors that a person can act on, and the nearest name to a mistyped one."""

from __future__ import annotations

import re
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend. The command prints the message alone and exits with 2.

    The message says, in one to three lines, what was asked, what is there, and what to type.
    """


class PluginError(UserError):
    """A plugin, or a component that a plugin brings, cannot be used."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest of `names`, or an empty string.

    >>> did_you_mean("monia3d", ["monai3d", "copycat"])
    " Did you mean 'monai3d'?"
    >>> did_you_mean("zzz", ["monai3d"])
    ''
    """
    import difflib  # seldom needed

    nearest = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def one_line(error: BaseException) -> str:
    """Return kind and text of an error in one line.

    >>> one_line(ValueError("no\\n  good"))
    'ValueError: no good'
    """
    text = re.sub(r"\s+", " ", str(error)).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
