"""Finds result files and takes in what is valid; what is not is refused by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memtk.config import flat, merge
from memtk.errors import UserError, one_line
from memtk.events import StageEvents, Watch, ignore
from memtk.files import read_plain
from memtk.registry import Registry
from memtk.results import (
    Evidence,
    RateInterval,
    Result,
    Used,
    array_groups,
    has_arrays,
    read_arrays,
)
from memtk.results.collect import REPORT, slug
from memtk.results.migrations import SCHEMA
from memtk.results.run import find_results
from memtk.results.selftest import CLOSE
from memtk.results.validate import ARRAYS, validate

if TYPE_CHECKING:
    import numpy as np

    from memtk.intervals import Share

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


AGAIN = "run it again with this memtk"

TAKEN: dict[str, Any] = {"comparable": {"likeness", "population"}, "notes": True}
"""What of the evidence does not follow from the arrays: it is of the images, or a text."""

_UNITS = ("copies", "training images", "patients")
LATER = (
    {f"{units}, {name}" for units in _UNITS for name in ("may miss", "never")},
    {f"{units}, {name}" for units in _UNITS for name in ("margin model", "margin check")},
    {"exposed, sensitivity", "exposed, false positive rate"},
)
"""Numbers that files of this schema got later, together: older ones state none of a set."""


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
    path, label = run.path.with_name(ARRAYS), run.result.last.label
    if not path.is_file() or not has_arrays(path, label):
        return replace(run, unproven="its arrays are not beside it")
    if run.schema < SCHEMA or run.result.last.evidence.copies is None:
        return replace(run, unproven=f"its numbers are by formulas of an older memtk, {AGAIN}")
    arrays = read_arrays(path, label)
    _untold(run.result, arrays, array_groups(path))
    if missing := _whose(run.result, arrays):
        return replace(run, unproven=f"its arrays do not say {missing}, {AGAIN}")
    from memtk.evaluation.recompute import (  # torch: seconds
        NO_NUMBERS,
        evidence_again,
        selftest_again,
    )

    try:
        again = evidence_again(run.result, arrays)
        found = selftest_again(run.result, arrays)
    except NO_NUMBERS as error:
        raise UserError(f"its arrays give no numbers: {one_line(error)[:200]}") from error
    if wrong := list(_differences(run.result, arrays, again, found)):
        raise UserError(f"it does not follow from its arrays: {'; '.join(wrong[:5])}")
    lacks = not _planted(run.result) <= arrays.keys()
    unproven = f"its arrays do not hold the planted copies, {AGAIN}" if lacks else ""
    used = run.result.components.model_dump_json(exclude={"protocols"}).encode()
    drawn = arrays.get("planted", arrays["synthetic_train"])  # of two seeds of a copycat all is 1
    searched = hashlib.sha256(used + arrays["synthetic_train"].tobytes() + drawn.tobytes())
    return replace(run, rate=again.copy_rate, unproven=unproven, searched=searched.hexdigest())


def _untold(result: Result, arrays: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
    """Refuse a file that keeps quiet about what its arrays hold.

    Raises:
        UserError: if they hold another checkpoint, or planted copies of no self-test.
    """
    told = {each.label for each in result.evaluated}
    for group in groups:
        if group.startswith(("step-", "chosen")) and group not in told:
            raise UserError(f"its arrays hold {group[:40]}, of which it says nothing")
    found = result.selftest and result.selftest.sensitivity
    for name, said in (("planted", found), ("exposure_planted", found and found.exposure)):
        if name in arrays and not said:
            raise UserError("its arrays hold planted copies, of which it says nothing")


def _whose(result: Result, arrays: Mapping[str, np.ndarray]) -> str:
    """Return of which images the arrays do not say whose they are; nothing if of none."""
    counts = {"training": result.used_training, "validation": result.data.counts["validation"]}
    for name, size in counts.items():
        whose = arrays.get(f"{name}_patient")
        known = size.images if whose is None else len(set(whose.ravel().tolist()))
        if known != size.patients:
            return f"whose the {name} images are"
    return ""


def _planted(result: Result) -> set[str]:
    """Return the arrays that a self-test leaves behind; none without one."""
    if result.selftest is None:
        return set()
    return {"planted"} | ({"exposure_planted"} if result.selftest.sensitivity.exposure else set())


def _differences(
    result: Result,
    arrays: Mapping[str, np.ndarray],
    again: Evidence,
    found: Mapping[str, Share],
) -> Iterator[str]:
    """Say which numbers of a file are not those of its arrays.

    Args:
        again: what a verdict rests on, by the arrays.
        found: planted copies and strangers by rule, likewise.
    """
    from memtk.memorization import IDENTICAL  # torch: seconds

    stated, counted = _numbers(result.last.evidence), _numbers(again)
    if IDENTICAL in arrays:
        stated["identical images"] = result.last.identical_images
        counted["identical images"] = int(arrays[IDENTICAL].sum())
    if result.selftest is not None:
        sides = {
            "planted copies": result.selftest.sensitivity.model_dump(),
            "strangers": result.selftest.specificity.model_dump(),
        }
        for name, share in found.items():
            side, rule = name.split(", ")
            counted |= {f"{name}, {key}": value for key, value in asdict(share).items()}
            stated |= {f"{name}, {key}": value for key, value in (sides[side][rule] or {}).items()}
    older = {n for names in LATER if all(stated.get(n) is None for n in names) for n in names}
    for name in sorted(stated.keys() | counted.keys()):
        said, right = stated.get(name), counted.get(name)
        if said is None and name in older:
            continue
        if isinstance(said, float) and isinstance(right, float):
            same = abs(said - right) <= CLOSE
        else:
            same = said == right
        if not same:
            yield f"{name}: {_shown(said)} in the file, {_shown(right)} by the arrays"


def _numbers(evidence: Evidence) -> dict[str, Any]:
    """Return the numbers of it by name, "copies, at least", but for those of `TAKEN`."""
    tree = flat(evidence.model_dump(exclude=TAKEN))
    return {key.replace(".", ", ").replace("_", " "): value for key, value in tree}


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value}"
