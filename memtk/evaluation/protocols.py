"""Protocols applied to one synthetic set: those of all plugins, each on its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from memtk.errors import PluginError
from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.registry import Entry
from memtk.results import MeasureRecord, Table, Tables, Used


def apply_protocols(
    protocols: Sequence[Entry], similarities: Similarities, levels: Levels
) -> tuple[Tables, dict[str, np.ndarray]]:
    """Return the table of each protocol, and the images that it flags, by "flagged_NAME_SET".

    A protocol that fails has a table that says so, and the others are not touched by it.

    Args:
        protocols: where two plugins bring one of a name, they are called "plugin/name".
    """
    tables: Tables = {}
    flags: dict[str, np.ndarray] = {}
    for name, entry in named_protocols(protocols).items():
        try:
            found: ProtocolTable = entry.load()()(similarities, levels)
            tables[name] = {key: record_of(measure) for key, measure in found.measures.items()}
            flags |= {
                f"flagged_{name.replace('/', '_')}_{group}": np.asarray(flagged, dtype=bool)
                for group, flagged in found.flags.items()
            }
        except PluginError as error:
            tables[name] = _failed(str(error))
        except Exception as error:  # a plugin may raise anything; its message may name a file
            tables[name] = _failed(f"{type(error).__name__}: memtk plugins test {name} shows why")
    return tables, flags


def named_protocols(protocols: Sequence[Entry]) -> Mapping[str, Entry]:
    """Return protocols by the name that their tables have."""
    names = [entry.name for entry in protocols]
    return {
        e.name if names.count(e.name) == 1 else f"{e.plugin.name}/{e.name}": e for e in protocols
    }


def record_of(measure: Measure) -> MeasureRecord:
    """Return a measure as it is stored; a value that is not finite is none."""
    value = None if measure.value is None else float(measure.value)
    if value is not None and not math.isfinite(value):
        value = None
    note = measure.note or ("It is undefined here." if value is None else "")
    return MeasureRecord(
        value=value,
        title=measure.title,
        side=measure.side,
        count=None if value is None else _count(measure.count),
        of=None if measure.of is None else int(measure.of),
        null=None if measure.null is None else float(measure.null),
        interval=None
        if measure.interval is None
        else (float(measure.interval[0]), float(measure.interval[1])),
        better=measure.better,
        note=note,
    )


def _count(count: float | None) -> int | float | None:
    if count is None:
        return None
    return int(count) if isinstance(count, int | np.integer) else float(count)


def used_protocols(protocols: Sequence[Entry]) -> list[Used]:
    """Return protocols with package and version."""
    return [
        Used(
            name=entry.name,
            plugin=entry.plugin.name,
            distribution=entry.plugin.distribution,
            version=entry.plugin.version,
        )
        for entry in protocols
    ]


def _failed(why: str) -> Table:
    return {"failed": MeasureRecord(value=None, title="not measured", side="", better="", note=why)}
