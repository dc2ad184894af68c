"""The command that repeats a run, without its paths."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from memtk.report.redaction import flatten, names_something
from memtk.results import Policy

_OPTIONS = {
    "generator": "--generator",
    "embedder": "--embedder",
    "similarity": "--similarity",
    "mitigation": "--mitigation",
    "compare": "--compare",
    "quality": "--quality",
    "attack": "--attack",
    "extractor": "--extractor",
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
        data = {}  # the suite and the preset say which; named beside, they make another benchmark
        parts.append(f"--suite {_word(suite['name'])}")
    elif source is not None:
        parts.append("--data YOUR_DATA")
    parts += _sets({"bench": bench, "data": data, **recipe.get("settings", {})})
    return _SEPARATOR.join(parts)


_SOURCES = {
    "source": "--train YOUR_TRAINING_IMAGES",
    "validation_source": "--val YOUR_VALIDATION_IMAGES",
    "held_out_source": "--held-out YOUR_HELD_OUT_IMAGES",
    "synthetic_source": "--synthetic YOUR_SYNTHETIC_IMAGES",
}
"""Keys of the recipe's table `data` that an audit has an option for."""

_AUDIT = ("embedder", "similarity", "preset", "plants", "alpha", "fdr", "seed")
"""Keys of the table `audit` that have an option of that name."""


def repeat_audit(recipe: Mapping[str, Any], policy: Policy) -> str:
    """Return the command line that asks for the same audit, one option a line.

    Args:
        recipe: of `run.json`: tables "audit", "data" and "settings"; or "audit" and "embeddings",
            fingerprints of the files, the second None where there was one.
        policy: that was applied; without a file if it is the default one.
    """
    parts = ["memtk audit"]
    audit, data = dict(recipe.get("audit", {})), dict(recipe.get("data", {}))
    if files := recipe.get("embeddings"):
        parts.append("--embeddings YOUR_EMBEDDINGS")
        parts += ["--exposure-embeddings YOUR_OTHER_EMBEDDINGS"] if files[1] else []
    sources = (
        _SOURCES if data.get("validation_source") else _SOURCES | {"source": "--data YOUR_DATA"}
    )
    parts += [option for key, option in sources.items() if data.pop(key, None) is not None]
    for key in _AUDIT:
        value = audit.pop(key, None)
        parts += [] if value is None else [f"--{key} {_word(str(value))}"]
    parts += ["--weights YOUR_WEIGHTS"] if audit.pop("weights", None) else []
    parts += [] if audit.pop("exposure", True) else ["--no-exposure"]
    parts += [] if policy == Policy() else ["--policy YOUR_POLICY"]
    parts += _sets({"audit": audit, "data": data, **recipe.get("settings", {})})
    return _SEPARATOR.join(parts)


_SEPARATOR = " \\\n  "


def _sets(tables: Mapping[str, Any]) -> list[str]:
    """Return tables of settings as options `--set`."""
    data = dict(tables.get("data", {}))
    data |= {"patient_pattern": "/"} if data.get("patient_pattern") else {}  # may hold a name
    return [
        f"--set {key}={_word(text.replace(', ', ','))}"
        for key, text in flatten({**tables, "data": data})
    ]


def _word(text: str) -> str:
    return "..." if names_something(text) else shlex.quote(text)
