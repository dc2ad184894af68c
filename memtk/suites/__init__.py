"""Versioned definitions of benchmarks: the data, and what else two results must share."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from memtk.config import load_toml
from memtk.errors import UserError, did_you_mean

MEMBERS = frozenset({"images", "patients", "digest", "stored"})
"""What a suite of images in files says of them, in its table `[members]`: how many images and
patients; SHA-256 of the sorted patients, one a line; voxels along each axis as they are stored."""


def suite_names() -> list[str]:
    """Return the names of the suites that come with memtk."""
    return sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if _is_suite(p.name))


def load_suite(name: str) -> dict[str, Any]:
    """Return a suite's definition as a nested dict.

    Args:
        name: of an embedded suite, or the path of a TOML file.

    Raises:
        UserError: if there is no such suite, or the file is not one.
    """
    if name in suite_names():
        return load_toml(Path(str(_folder() / f"{name}.toml")))
    if not _is_suite(name):
        raise UserError(
            f"unknown suite {name!r}: there are {', '.join(suite_names())}, or give a TOML file."
            f"{did_you_mean(name, suite_names())}"
        )
    suite = load_toml(Path(name))
    if set(suite.get("suite", {})) != {"name", "version"}:
        raise UserError(f"{name} is no suite: it needs a table [suite] with name and version")
    unknown = sorted(set(suite.get("members", {})) - MEMBERS)
    if unknown:
        raise UserError(
            f"{name}: unknown key members.{unknown[0]}: there are {', '.join(sorted(MEMBERS))}"
        )
    return suite


def _folder() -> Any:
    return files("memtk.suites")


def _is_suite(name: str) -> bool:
    return name.endswith(".toml")
