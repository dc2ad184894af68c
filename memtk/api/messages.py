"""What the command line says, in the words of a Python call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from memtk.errors import UserError
from memtk.events import Event, Watch

_NAMES = {"val": "validation", "data": "train", "set": "settings", "second_embedder": "embedder"}
"""Arguments that are called otherwise than the options of `memtk audit`."""

_WAYS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"--set '([^']*)'", r'settings=["\1"]'),
    (r"--set ([\w.+-]+=\S*[^\s.;:,)])", r'settings=["\1"]'),
    (r"--no-([a-z]+)", r"\1=False"),
    (r"--(similarity|device) ([a-z0-9]+)", r'\1="\2"'),
    (r"--(train|val|synthetic|held-out) [A-Z]\b", lambda found: f"{_argument(found[1])}="),
    (r"--data manifest.csv", 'train="manifest.csv"'),
    (r"--([a-z][a-z-]*)", lambda found: f"{_argument(found[1])}="),
    (r"row (\d+) of (train|validation|synthetic)", r"\2[\1]"),
    (r"; memtk check names them\.", "."),
    (r"run the same command again", "make the same call again"),
    (r"run with resume=False", "call with resume=False"),
)


def in_python(text: str) -> str:
    """Return a sentence with arguments of `memtk.audit` in place of options.

    >>> in_python("Make them gray: --set data.color=gray")
    'Make them gray: settings=["data.color=gray"]'
    >>> in_python("use another --out, or throw that run away with --no-resume.")
    'use another out=, or throw that run away with resume=False.'
    """
    for pattern, way in _WAYS:
        text = re.sub(pattern, way, text)
    return text


def _argument(option: str) -> str:
    name = option.replace("-", "_")
    return _NAMES.get(name, name)


@contextmanager
def speaking_python() -> Iterator[None]:
    """Let what is refused inside be said in the words of a Python call.

    Raises:
        UserError: in place of one.
    """
    try:
        yield
    except UserError as error:
        raise UserError(in_python(str(error))) from error


def watching_in_python(watch: Watch) -> Watch:
    """Return a watch that hears notes in the words of a Python call."""

    def heard(event: Event) -> None:
        watch(Event(event.kind, event.stage, event.step, event.total, event.values,
                    in_python(event.text)))  # fmt: skip

    return heard
