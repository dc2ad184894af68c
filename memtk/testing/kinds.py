"""Which kind of component a class is, told by what it has."""

from __future__ import annotations

import inspect
from typing import Any

from memtk.interfaces import Embedder, Generator, Mitigation

BASES = {"generator": Generator, "embedder": Embedder, "mitigation": Mitigation}
"""The kinds that are made by subclassing; the others are protocols."""

PARTS = {
    "similarity": ("space", "prepare", "compare"),
    "reader": ("suffixes", "records", "read"),
    "report": ("title", "__call__"),
    "attack": ("uses", "score"),
    "quality": ("__call__",),
}
"""What a class of the other kinds has at least."""

ARGUMENTS = {"quality": 2, "report": 1}
"""How many arguments a call of one takes; a quality metric of features takes one."""


def kind_of(cls: Any) -> str:
    """Return the kind of a class, an empty string if it is none.

    A subclass of `Generator`, `Embedder` or `Mitigation` is one; otherwise `prepare` and `compare`
    make a similarity, `records` and `read` a reader, `uses` and `score` an attack, a `title` a
    report section, and a call of two sets of images, or of features, a quality metric.
    """
    if not isinstance(cls, type):
        return ""
    for kind, base in BASES.items():
        if issubclass(cls, base):
            return kind
    for kind in PARTS:
        if not missing_parts(kind, cls):
            return kind
    return ""


def missing_parts(kind: str, cls: type) -> list[str]:
    """Return what a class lacks of a kind that is a protocol."""
    missing = [part for part in PARTS[kind] if not hasattr(cls, part)]
    if "__call__" in PARTS[kind] and not missing:
        asked, taken = ARGUMENTS[kind], _arguments(cls)
        if kind == "quality" and getattr(cls, "space", "image") == "features":
            asked = 1
        if taken != asked:
            missing.append(f"a call of {asked} arguments (it takes {taken})")
    return missing


def _arguments(cls: type) -> int:
    """Return how many arguments an instance's call takes; -1 if it has none."""
    call = inspect.getattr_static(cls, "__call__", None)
    if not inspect.isfunction(call):
        return -1
    parameters = list(inspect.signature(call).parameters.values())[1:]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in plain and p.default is inspect.Parameter.empty for p in parameters)
