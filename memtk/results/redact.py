"""What in a result or a report could name a place on somebody's machine, or a patient."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

HIDDEN = "(not shown)"
"""Stands where a text was taken out."""

SETTINGS = frozenset({"config", "recipe", "settings"})
"""Keys below which settings stand: there any text with a slash may be a folder."""

_ABSOLUTE = re.compile(r"(/|~|\.{1,2}/|[A-Za-z]:[\\/]|\\|file:).+")
_FILE = re.compile(
    r".+\.(nii|gz|dcm|png|jpe?g|tiff?|csv|npz|npy|h5|hdf5|pt|pth|ckpt|safetensors|mha|mhd|nrrd|zip)",
    re.IGNORECASE,
)
_ENDING = re.compile(r"\.[A-Za-z]\w{0,4}\Z")
_UID = re.compile(r"(?<!\d)\d+(\.\d+){5,}")
_NUMBER = re.compile(r"\d{6,}")
_HASH = re.compile(r"[0-9a-f]{16,}")
_PATIENT = re.compile(r"(patient|subject)_?(id|name|number)|mrn|accession\w*", re.IGNORECASE)
_TRUSTED = frozenset({"fingerprint", "versions", "version", "memtk_version"})
"""Keys below which numbers stand that are no patient's."""


@dataclass(frozen=True)
class Named:
    """A text that should not be in a file for others.

    Args:
        where: dotted keys.
        what: "a path" or "what may be a patient's number".
        text: the text.
    """

    where: str
    what: str
    text: str


def named(tree: Any) -> list[Named]:
    """Return every text of a JSON tree that looks like a path, a file or a patient's number.

    A number of six digits and more within a text, a DICOM identifier, and whatever stands under a
    key such as `patient_id` are taken for a patient's; below `SETTINGS` every text with a slash or
    a file's ending for a path. That is a guess: it can be wrong both ways.

    >>> [n.where for n in named({"config": {"weights": "/home/me/net.pt", "steps": 3}})]
    ['config.weights']
    """
    return list(_walk(tree, ()))


def redact(tree: Any) -> Any:
    """Return a JSON tree with every such text replaced.

    >>> redact({"notes": ["3 / 4", "of /home/me"], "config": {"weights": "home/me", "steps": 3}})
    {'notes': ['3 / 4', '(not shown)'], 'config': {'weights': '(not shown)', 'steps': 3}}
    """
    return _redact(tree, ())


def redact_settings(tree: Any) -> Any:
    """Return settings with every such text replaced, as below the key "settings".

    >>> redact_settings({"steps": 3, "name": "monai3d", "file": "p17.nii", "patient_id": 17})
    {'steps': 3, 'name': 'monai3d', 'file': '(not shown)', 'patient_id': '(not shown)'}
    """
    return _redact(tree, ("settings",))


def names_something(text: str) -> bool:
    """Tell whether a setting may be a path, a file, a pattern made of them or a patient's number.

    >>> names_something("images/a"), names_something("123456789"), names_something("one-cycle")
    (True, True, False)
    """
    return bool(_kind(text, ("settings",)))


def _redact(tree: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(tree, Mapping):
        return {str(key): _redact(value, (*keys, str(key))) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [_redact(value, keys) for value in tree]
    return HIDDEN if _kind(tree, keys) else tree


def _walk(tree: Any, keys: tuple[str, ...]) -> Iterator[Named]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _walk(value, (*keys, str(key)))
            if what := _kind_of_key(str(key)):
                yield Named(".".join(keys), what, str(key))
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for value in tree:
            yield from _walk(value, keys)
    elif what := _kind(tree, keys):
        yield Named(".".join(keys), what, str(tree))


def _kind(value: Any, keys: tuple[str, ...]) -> str:
    """Return what a value may name; nothing if it is harmless."""
    if value == HIDDEN or value is None or isinstance(value, bool):
        return ""
    if not isinstance(value, str):
        return "what may be a patient's number" if _of_a_patient(keys) else ""
    words = value.split()
    if any(_is_place(word.strip("'\"(),;:")) for word in words):
        return "a path"
    if SETTINGS & {*keys} and ("/" in value or "\\" in value or _ENDING.search(value)):
        return "a path"
    if _of_a_patient(keys):
        return "what may be a patient's number"
    if _TRUSTED & {*keys} or not any(_is_number(word) for word in words):
        return ""
    return "what may be a patient's number"


@lru_cache(maxsize=4096)
def _kind_of_key(key: str) -> str:
    return _kind(key, ("key",))


@lru_cache(maxsize=4096)
def _of_a_patient(keys: tuple[str, ...]) -> bool:
    return any(_PATIENT.fullmatch(key) for key in keys)


def _is_place(word: str) -> bool:
    if re.match(r"https?://", word):
        return False
    ending = _ENDING.search(word)
    below = ending is not None and any(sign in word[: ending.start()] for sign in "/\\")
    return below or any(kind.fullmatch(word) for kind in (_ABSOLUTE, _FILE))


def _is_number(word: str) -> bool:
    if _HASH.fullmatch(word):
        return False
    return bool(_UID.search(word) or _NUMBER.search(word))
