"""Whether a run is on the images of a suite: only then may its result stand under that name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memtk.config import build, merge
from memtk.data.config import DataConfig
from memtk.data.manifest import Row
from memtk.data.readers import Readers
from memtk.data.roles import list_sources
from memtk.errors import UserError
from memtk.registry import Registry


def suite_data(suite: Mapping[str, Any], preset: str) -> DataConfig:
    """Return the settings of the data that a suite has with a preset.

    Raises:
        UserError: if the suite's file has settings that do not exist.
    """
    of_preset = suite.get("presets", {}).get(preset, {}).get("data", {})
    return build(DataConfig, merge(suite.get("data", {}), of_preset), where="data")


def difference(suite: Mapping[str, Any], preset: str, data: DataConfig, registry: Registry) -> str:
    """Return in what a run's data are not those of a suite, "" if they are.

    All settings must be the suite's own. Where the suite has a table `[members]`, the images may
    lie elsewhere: they are listed and counted, and one is read for its size. No voxels are
    compared: that two results are of the very same voxels is said by their fingerprints.

    Args:
        suite: its definition.
        preset: which of its presets.
        data: of the run.

    Raises:
        UserError: if the source cannot be listed, or its images are stored at another size than
            the suite's, so that its resampling would ruin them.
    """
    own = suite_data(suite, preset)
    members = suite.get("members")
    changed = _changed(own, data, {"source"} if members else set())
    if not members:
        return changed
    readers = Readers(registry)
    rows = [row for row in list_sources(data, readers).rows if row.split != "synthetic"]
    if data.spacing == own.spacing and "stored" in members:
        _check_size(rows, members["stored"], data, readers, suite["suite"]["name"])
    patients = {row.patient for row in rows}
    for word, count in (("images", len(rows)), ("patients", len(patients))):
        if word in members and count != members[word]:
            return f"it has {count} {word}, the suite {members[word]}"
    if "digest" in members and digest(patients) != members["digest"]:
        return "its patients have other numbers than the suite's"
    return changed


def digest(patients: Iterable[str]) -> str:
    """Return SHA-256 of the sorted patients, one a line.

    >>> digest(["b", "a"]) == digest(["a", "b", "a"])
    True
    """
    return hashlib.sha256("\n".join(sorted(set(patients))).encode()).hexdigest()


def _changed(own: DataConfig, data: DataConfig, free: set[str]) -> str:
    """Name the settings that are not the suite's, but for those that are free."""
    theirs, ours = (each.model_dump(exclude=free) for each in (own, data))
    keys = [key for key in theirs if theirs[key] != ours[key]]
    return f"{', '.join(f'data.{key}' for key in keys)} is not the suite's" if keys else ""


def _check_size(
    rows: Sequence[Row], stored: Sequence[int], data: DataConfig, readers: Readers, name: str
) -> None:
    if not rows or data.spacing is None:
        return
    found = readers.read(rows[0].record).voxels.shape[1:]
    if found == tuple(stored) or len(found) != len(stored):
        return
    fits = [s * there / n for s, there, n in zip(data.spacing, found, stored, strict=True)]
    size, wanted = ("x".join(map(str, shape)) for shape in (found, stored))
    raise UserError(
        f"these images are stored at {size}; the suite {name} is made for {wanted}, which it "
        f"resamples by data.spacing={_plain(data.spacing)}.\n"
        f"For these say --set data.spacing={_plain(fits)}"
    )


def _plain(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
