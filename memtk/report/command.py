"""The command that repeats a run, without its paths."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from memtk.report.redaction import flatten, names_something

_OPTIONS = {
    "generator": "--generator",
    "embedder": "--embedder",
    "similarity": "--similarity",
    "mitigation": "--mitigation",
    "quality": "--quality",
    "preset": "--preset",
    "checkpoints": "--checkpoints",
    "samples": "--samples",
    "seed": "--seed",
}
"""Keys of the recipe's table `bench` that have an option of their own."""


def repeat_command(recipe: Mapping[str, Any]) -> str:
    """Return the command line that asks for the same run, one option a line.

    What names a place of this machine is left for the reader to fill in: `--data YOUR_DATA`.

    Args:
        recipe: of `run.json`: tables "suite", "bench", "data" and "settings".
    """
    parts = ["memtk bench"]
    bench, data = dict(recipe.get("bench", {})), dict(recipe.get("data", {}))
    for key, option in _OPTIONS.items():
        value = bench.pop(key, None)
        values = value if isinstance(value, list | tuple) else [value]
        parts += [f"{option} {shlex.quote(str(v))}" for v in values if v is not None]
    suite, source = recipe.get("suite"), data.pop("source", None)
    if suite:
        parts.append(f"--suite {_word(suite['name'])}")
    elif source is not None:
        parts.append("--data YOUR_DATA")
    data |= {"patient_pattern": "/"} if data.get("patient_pattern") else {}  # may hold a name
    for key, text in flatten({"bench": bench, "data": data, **recipe.get("settings", {})}):
        parts.append(f"--set {key}={_word(text.replace(', ', ','))}")
    return " \\\n  ".join(parts)


def _word(text: str) -> str:
    return "..." if names_something(text) else shlex.quote(text)
