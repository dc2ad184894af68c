"""Texts and paths that a caller gives in Python, where nothing has looked at them before."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memtk.errors import UserError


def is_path(value: Any) -> bool:
    """Tell whether images are named rather than given."""
    return isinstance(value, str | os.PathLike)


def texts_of(value: Any, argument: str) -> tuple[str, ...]:
    """Return texts that were given as several or as one.

    Raises:
        UserError: if they are none, naming the argument.

    >>> texts_of("fid", "quality"), texts_of(["fid", "ct"], "quality")
    (('fid',), ('fid', 'ct'))
    """
    texts = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"{argument}= has {text!r} in it: give texts")
    return texts


def name_of(value: Any, argument: str) -> str:
    """Return a name that was given as a text.

    Raises:
        UserError: if it is none, naming the argument.

    >>> name_of("ann", "reader")
    'ann'
    """
    if not isinstance(value, str):
        raise UserError(f"{argument}= is of type {type(value).__name__}: give a text")
    return value


def text_of(value: Any, argument: str) -> str:
    """Return a path as the text that it was given as; see `path_of`."""
    path_of(value, argument)
    return str(os.fspath(value))


def path_of(value: Any, argument: str) -> Path:
    """Return a path that was given as a text, a `pathlib.Path` or whatever else is one.

    Raises:
        UserError: if it is none, or none that a file can have, naming the argument.

    >>> path_of("a", "out")
    PosixPath('a')
    """
    text = os.fspath(value) if is_path(value) else None
    if not isinstance(text, str):
        kind = type(value if text is None else text).__name__
        raise UserError(f"{argument}= is of type {kind}: give a path, as a text or a pathlib.Path")
    said = ascii(text[:100])
    try:
        os.lstat(text)
    except ValueError as error:  # a null byte, half of a character
        raise UserError(f"{argument}={said}: no file can be called so") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{argument}={said}: the name is too long") from error
    return Path(text)
