"""Finds result files and takes in what is valid; what is not is refused by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from memtk.config import merge
from memtk.errors import UserError
from memtk.events import StageEvents, Watch, ignore
from memtk.files import read_plain
from memtk.registry import Registry
from memtk.results import (
    RateInterval,
    Result,
    Used,
)
from memtk.results.collect import REPORT, slug
from memtk.results.run import find_results
from memtk.results.validate import validate

NAME = "IMAGES.txt"
"""A file that says in a line what images the results in its folder and below are of."""


@dataclass(frozen=True)
class Run:
    """A valid result.

    Args:
        path: of the file; nothing of it is shown.
        schema: the version that it was written with.
        digest: SHA-256 of the file, in hexadecimal digits.
        report: the page beside it, or of the run folder in which it lies; None without one.
        images: what the collection calls its images; empty if it says nothing.
        name: its path below the folder.
        rate: the copy rate that its arrays give; None until it is recomputed.
        unproven: why it has no rank; empty once its copy rate is recomputed.
        searched: a hash of its components and similarities, by which it counts once; likewise.
    """

    path: Path
    result: Result
    schema: int
    digest: str
    report: Path | None
    images: str = ""
    name: str = ""
    rate: RateInterval | None = None
    unproven: str = "its copy rate was not recomputed"
    searched: str = ""

    @property
    def id(self) -> str:
        """A name for its page, from what it is and what it holds."""
        suite = self.result.suite.name if self.result.suite else "data"
        return slug(f"{suite}-{self.result.cell}-seed-{self.result.seed}-{self.digest[:8]}")


@dataclass(frozen=True)
class Refused:
    """A file that is not taken in: its path below the folder, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """What was found.

    Args:
        runs: in the order of their digests: neither names nor places of files matter.
        refused: in the order of their names.
    """

    runs: tuple[Run, ...]
    refused: tuple[Refused, ...]


def collect(folder: Path, watch: Watch = ignore) -> Collection:
    """Return every result in a folder and below.

    Args:
        watch: is told how many are checked.

    Raises:
        UserError: if there is no such folder, or no result in it.
    """
    return collect_files(folder, find_results(Path(folder)), watch)


def collect_files(folder: Path, files: Iterable[Path], watch: Watch = ignore) -> Collection:
    """Return the results of `result.json` files in any order, each once, named below `folder`."""
    runs: dict[str, Run] = {}
    refused, found = [], sorted(files)
    for (path,) in StageEvents("checking results", watch).track(
        ((path,) for path in found), len(found)
    ):
        inside = path != folder and path.is_relative_to(folder)
        name = path.relative_to(folder).as_posix() if inside else path.name
        try:
            said = validate(path)
        except UserError as error:
            refused.append(_refused(path, name, error))
            continue
        if said.failed or said.result is None:
            reason = "; ".join(f"{check.name}: {check.detail}" for check in said.failed)
            refused.append(_refused(path, name, reason))
            continue
        report, images = _report(path), _images(path, folder)
        run = Run(path, said.result, said.schema, said.digest, report, images, name)
        first = runs.setdefault(said.digest, run)
        if first.report is None and run.report is not None:
            runs[said.digest] = run
    return Collection(tuple(runs[key] for key in sorted(runs)), tuple(refused))


def _refused(path: Path, name: str, reason: object) -> Refused:
    """Name a file that is not taken in, and no folder that it lies in: the list is published."""
    return Refused(name, str(reason).replace(f"{path.parent}{os.sep}", ""))


def _images(path: Path, folder: Path) -> str:
    """Return the first line of the nearest file `NAME` above a result, within the collection."""
    for place in path.parents:
        if not place.is_relative_to(folder):
            break
        with suppress(OSError, UserError, UnicodeDecodeError):
            if (place / NAME).is_symlink():  # whoever sent the collection does not choose the file
                continue
            line = read_plain(place / NAME).decode("utf-8").strip().partition("\n")[0][:80]
            return "".join(sign if sign.isprintable() else " " for sign in line)
    return ""


def _report(path: Path) -> Path | None:
    """Return the report beside a result, or that of the run folder in which it lies."""
    places = [path.with_name(REPORT)]
    if len(path.parents) > 2 and path.parents[1].name == "cells":
        places.append(path.parents[2] / REPORT)
    plain = (place for place in places if place.is_file() and not place.is_symlink())
    return next(plain, None)


Version = tuple[str, str, str, str, str]
"""Kind, package, version, plugin and name of a component."""


def completed(collection: Collection, registry: Registry) -> Collection:
    """Return the results such that those of one component name the same settings.

    A setting that a file does not name was not there when it was written, and the component did
    what the setting's default does: so it stands for the default, as when the file is run again.

    Only components whose results name different settings are imported. Of one that is not
    installed in that version, or that does not take the settings, the results stay as they are.

    Args:
        registry: brings the components' defaults.
    """
    named: dict[Version, set[frozenset[str]]] = {}
    for run in collection.runs:
        for kind, used in run.result.components.used():
            named.setdefault(_version(kind, used), set()).add(frozenset(_keys(used.config)))
    uneven = sorted(version for version, found in named.items() if len(found) > 1)
    configs = {version: _config_of(version, registry) for version in uneven}

    def fill(kind: str, used: Used) -> Used:
        return _filled(used, configs.get(_version(kind, used)))

    runs = [
        replace(
            run,
            result=run.result.model_copy(
                update={"components": run.result.components.changed(fill)}
            ),
        )
        for run in collection.runs
    ]
    return replace(collection, runs=tuple(runs))


def _version(kind: str, used: Used) -> Version:
    return kind, used.distribution, used.version, used.plugin, used.name


def _keys(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


def _config_of(version: Version, registry: Registry) -> Any:
    """Return the class of a component's settings; None if it is not to be had."""
    kind, *package, plugin, name = version
    try:
        entry = registry.find(kind, f"{plugin}/{name}")
        if [entry.plugin.distribution, entry.plugin.version] != package:
            return None
        return getattr(entry.load(), "Config", None)
    except UserError:
        return None


def _filled(used: Used, config: Any) -> Used:
    """Return a component with all settings of a class `config`; as it is without one."""
    if config is None:
        return used
    try:
        whole = config.model_validate(used.config).model_dump(mode="json")
    except ValidationError:
        return used
    return used.model_copy(update={"config": merge(whole, used.config)})


def recomputed(collection: Collection, watch: Watch = ignore) -> Collection:
    """Return the results with the copy rate that their arrays give, in place of the one they state.

    The arrays of the last checkpoint must lie beside the file, say whose the images are, and, where
    there was a self-test, hold the planted copies. A result without them has no rank. One whose
    numbers do not follow from its arrays is refused, and so is one with the components and the
    arrays of another: a run counts once. That the arrays are those of a search is taken on trust.

    Args:
        watch: is told how many are done.
    """
    runs, refused, known = [], list(collection.refused), dict[str, str]()
    stage = StageEvents("computing again what ranks rest on", watch)
    for (run,) in stage.track(((run,) for run in collection.runs), len(collection.runs)):
        try:
            found = _recomputed(run)
            if found.searched and (first := known.setdefault(found.searched, run.name)) != run.name:
                raise UserError(f"its arrays are those of {first}: a run counts once")
            runs.append(found)
        except UserError as error:
            refused.append(_refused(run.path, run.name, error))
    return Collection(tuple(runs), tuple(sorted(refused, key=lambda each: each.name)))


def _recomputed(run: Run) -> Run:
    """Return a run with its recomputed copy rate, or with why it has none.

    Raises:
        UserError: if the file states other numbers.
    """
    from memtk.evaluation.proof import prove  # torch: seconds

    found = prove(run.result, run.schema, run.path)
    return replace(run, rate=found.rate, unproven=found.unproven, searched=found.searched)
