"""Errors that a person can act on, and the nearest name to a mistyped one."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend. The command prints the message alone and exits with 2.

    The message says, in one to three lines, what was asked, what is there, and what to type.
    """


class PluginError(UserError):
    """A plugin, or a component that a plugin brings, cannot be used."""


class Stopped(KeyboardInterrupt):
    """A person has stopped the program while code of others ran, which may raise the other kind."""


def stop(number: int, frame: object) -> None:
    """Handle a signal that ends the program, so that nothing is left behind.

    Raises:
        Stopped: always.
    """
    raise Stopped


def is_failure(error: BaseException) -> bool:
    """Tell whether code of others failed, which may raise anything, or somebody stops the program.

    Where Ctrl-C is handled by `stop`, as in a command, or is not heard, as in the processes that
    read, no other `KeyboardInterrupt` is a person's.

    >>> [is_failure(error) for error in (ValueError(), SystemExit(0), Stopped())]
    [True, True, False]
    """
    of_others = signal.getsignal(signal.SIGINT) in (stop, signal.SIG_IGN)
    return not isinstance(error, GeneratorExit | (Stopped if of_others else KeyboardInterrupt))


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


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, without tabs and line ends, and what turns the direction of a text."""


def printable(text: str) -> str:
    """Return a text that does nothing to a terminal or a page but stand there.

    >>> printable("a\\x1b[2Jb")
    'a\ufffd[2Jb'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(error: BaseException) -> str:
    """Return kind and text of an error in one line.

    >>> one_line(ValueError("no\\n  good"))
    'ValueError: no good'
    """
    try:
        text = printable(re.sub(r"\s+", " ", str(error)).strip())
    except BaseException as other:  # of a stranger's class
        if not is_failure(other):
            raise
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def many(count: int, noun: str, verb: str = "") -> str:
    """Return a count with its noun, and a verb in the number that goes with it.

    >>> many(1, "training image"), many(0, "copy"), many(1200, "patient")
    ('1 training image', '0 copies', '1200 patients')
    >>> many(1, "patient", "is/are"), many(2, "patient", "is/are")
    ('1 patient is', '2 patients are')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}{_verb(count, verb)}"


def some(count: int, total: int, noun: str, verb: str = "") -> str:
    """Return a count of a total with its noun, and a verb in the number of the count.

    >>> some(1, 3, "image", "is/are"), some(2, 3, "image"), some(1, 1, "image")
    ('1 of 3 images is', '2 of 3 images', '1 of 1 image')
    """
    return f"{count} of {many(total, noun)}{_verb(count, verb)}"


def _verb(count: int, verb: str) -> str:
    one, _, others = verb.partition("/")
    return f" {one if count == 1 else others}" if verb else ""
