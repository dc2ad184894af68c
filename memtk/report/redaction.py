"""Takes out of settings what could name a file, a folder or a patient."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "(not shown)"
"""Stands in a report for what might name a file, a folder or a patient."""

_FILE = re.compile(r".*\.[A-Za-z]\w{0,4}")


def redact(value: Any) -> Any:
    """Return settings with every text that looks like a path, a pattern or a file name hidden.

    >>> redact({"steps": 3, "weights": "/home/me/net.pt", "name": "monai3d", "file": "p17.nii"})
    {'steps': 3, 'weights': '(not shown)', 'name': 'monai3d', 'file': '(not shown)'}
    """
    if isinstance(value, Mapping):
        return {str(key): redact(item) for key, item in value.items()}
    if isinstance(value, str):
        return HIDDEN if names_something(value) else value
    if isinstance(value, Sequence):
        return [redact(item) for item in value]
    return value


def names_something(text: str) -> bool:
    """Tell whether a text may be a path, a file name or a pattern made of them."""
    return "/" in text or "\\" in text or _FILE.fullmatch(text) is not None


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as dotted keys and texts, in their order.

    >>> flatten({"a": {"b": 1}, "c": [1, 2], "d": None, "e": {}})
    [('a.b', '1'), ('c', '1, 2'), ('d', 'none')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", as_text(value)))
    return rows


def as_text(value: Any) -> str:
    """Return a setting as it is typed after `--set KEY=`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(as_text(item) for item in value)
    return str(value)
