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
