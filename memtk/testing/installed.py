"""The cases of what is installed, found by a name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memtk.component import KINDS
from memtk.config import merge
from memtk.errors import PluginError, UserError, did_you_mean, one_line
from memtk.interfaces import ImageSpec
from memtk.registry import Entry, Registry
from memtk.testing.case import FLAT, SEES_IMAGES, SPEC, Case


@dataclass(frozen=True)
class Found:
    """What a name stands for.

    Args:
        entries: its components.
        complaints: what is wrong with the plugins that bring them, one sentence each.
    """

    entries: tuple[Entry, ...]
    complaints: tuple[str, ...]


def find(registry: Registry, name: str) -> Found:
    """Return what is called `name`: a plugin, else a package, else a component of any kind.

    Raises:
        UserError: if there is nothing of that name, with the nearest one.
    """
    entries = [entry for kind in KINDS for entry in registry.entries(kind)]
    plugins = registry.host.plugins
    for of in ("name", "distribution"):
        chosen = [plugin for plugin in plugins if getattr(plugin, of) == name]
        if chosen:
            names = {plugin.name for plugin in chosen}
            return Found(
                tuple(e for e in entries if e.plugin in chosen), _complaints(registry, names)
            )
    plugin, slash, short = name.rpartition("/")
    found = [e for e in entries if e.name == short and (not slash or e.plugin.name == plugin)]
    if found:
        return Found(tuple(found), ())
    known = [p.name for p in plugins] + [p.distribution for p in plugins]
    known += [entry.name for entry in entries]
    raise UserError(
        f"there is no plugin, package or component {name!r}.{did_you_mean(name, known)}\n"
        "See what there is with `memtk plugins` and `memtk list`; a package of yours must be "
        "installed first: pip install -e ."
    )


def cases_of(
    entry: Entry, config: Mapping[str, Any] | None = None, example: Path | None = None
) -> list[Case]:
    """Return the cases of a component: its own, or one for each number of axes it works on.

    Args:
        config: settings on top of the case's.
        example: a file for a reader, in place of the case's.

    Raises:
        PluginError: if the cases that it names are not there.
    """
    cases: Iterable[Case] = ()
    if entry.component.cases and not entry.missing:
        cases = _own(entry)
    elif entry.kind in SEES_IMAGES:
        cases = [Case(entry, spec=_shape(dims)) for dims in sorted(entry.component.dims)]
    else:
        cases = [Case(entry)]
    return [
        replace(
            case,
            component=entry,
            entry=entry,
            config=merge(case.config, config or {}),
            example=example or case.example,
        )
        for case in cases
    ]


def _own(entry: Entry) -> list[Case]:
    module, _, attribute = entry.component.cases.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the cases of {entry.name!r} cannot be imported from {entry.component.cases}: "
            f"{one_line(error)}"
        ) from error
    every = [found] if isinstance(found, Case) else list(found)
    cls = entry.load()
    cases = [case for case in every if case.component is cls]
    if not cases:
        raise PluginError(f"{entry.component.cases} has no Case of {cls.__name__}")
    return cases


def _shape(dims: int) -> ImageSpec:
    return SPEC if dims == 3 else FLAT


def _complaints(registry: Registry, plugins: set[str]) -> tuple[str, ...]:
    begins = tuple(f"plugin {name!r}" for name in plugins)
    return tuple(warning for warning in registry.warnings if warning.startswith(begins))
