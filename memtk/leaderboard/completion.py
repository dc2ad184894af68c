"""Fills in the settings that a component has got since some of the results were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from memtk.config import merge
from memtk.errors import UserError
from memtk.leaderboard.collection import Collection
from memtk.registry import Registry
from memtk.results import Used

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
