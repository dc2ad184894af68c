"""The run folder: whose it is, and who works in it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from memtk.errors import UserError
from memtk.files import write_text
from memtk.folders import claim, kind_of, remove, sweep
from memtk.results import RunFile, kept_verdict, read_run_file, write_run_file

_CONTENTS = (
    *("timing.json", "key", "data", "embedder", "extractor", "exposure", "cells", "arrays.h5"),
    *("audit.json", "copies.csv", "exposed.csv", "selftest.json", "release", "report.html"),
    "run.json",
)
_WORK = (
    *("embedder", "extractor", "exposure", "cells", "arrays.h5"),
    *("audit.json", "selftest.json", "release"),
)
"""What a run leaves that is worth something; before there is any, it has only been refused."""


def named_folder(name: str, identity: Mapping[str, Any]) -> Path:
    """Return `runs/NAME-KEY`; the key stands for the identity."""
    text = json.dumps(identity, sort_keys=True)
    return Path("runs") / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check_apart(folder: Path, sources: Iterable[str]) -> None:
    """See that a run does not write among the images: it would read its own files as images.

    Args:
        folder: of the run.
        sources: of its images, whichever of them are folders.

    Raises:
        UserError: if the run's folder is one of them or lies in one.
    """
    for source in sources:
        if Path(source).is_dir() and folder.resolve().is_relative_to(Path(source).resolve()):
            raise UserError(
                f"{folder} lies among the images in {source}, and would be read as some of them: "
                "choose another folder with --out"
            )


def open_run(folder: Path, identity: Mapping[str, Any], cells: list[str], *, resume: bool) -> None:
    """Make the folder of a run, or go on in it.

    Args:
        folder: held by `memtk.folders.working_in`.
        identity: all that the numbers depend on, `Plan.identity()`.
        cells: the names of its cells.
        resume: False throws away what is there, but for the first verdict on the same images.

    Raises:
        UserError: if it holds another run, naming what differs, or things that memtk did not write.
    """
    claim(folder)
    sweep(folder)
    if (folder / "run.json").exists() and resume:
        differences = _differences(read_run_file(folder).recipe, identity)
        if differences and any((folder / name).exists() for name in _WORK):
            raise UserError(
                f"{folder} holds another run: {'; '.join(differences[:4])}.\n"
                "Choose another folder with --out, or throw that run away with --no-resume."
            )
        if not differences:
            with suppress(OSError):  # runs of older versions; a file system without modes
                (folder / "key").chmod(0o600)
            return  # and what was refused before any work is forgotten
    first = kept_verdict(folder, identity) if (folder / "run.json").exists() else None
    remove(folder, _CONTENTS)  # run.json last: without it, nothing here is taken for a run's
    write_text(folder / "key", _new_key(folder), private=True)
    write_run_file(folder, RunFile(recipe=dict(identity), cells=cells, first_verdict=first))


def _new_key(folder: Path) -> str:
    """Return the key of a run: of the second audit of a release one that follows from the first's.

    So a release that was killed and begun again calls its images what an undisturbed one does.
    """
    home = folder.absolute().parent
    if kind_of(home) == "release" and (home / "key").is_file():
        key = (home / "key").read_text(encoding="ascii")
        return hashlib.sha256(f"{folder.name} of {key}".encode()).hexdigest()
    return secrets.token_hex(32)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} was {old}, now {new}")
    return found
