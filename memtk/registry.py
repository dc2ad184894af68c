"""From kind and name to a component, and from the component to its class."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from memtk.component import API, KINDS, Component
from memtk.errors import (
    PluginError,
    Stopped,
    UserError,
    did_you_mean,
    is_failure,
    one_line,
    printable,
)
from memtk.outputs import shielded
from memtk.plugins import Host, Plugin, load_plugins
from memtk.surroundings import restore

MOST = 1000
"""Components that a hook may return, and signs of a text of one."""


class Entry(NamedTuple):
    """A component and the plugin that brings it."""

    kind: str
    component: Component
    plugin: Plugin

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def origin(self) -> str:
        """What a message about it begins with."""
        return f"{self.kind} {self.name!r} of plugin {self.plugin.name!r}"

    @contextmanager
    def blamed(self, what: str) -> Iterator[None]:
        """Blame it for what fails in the block, in which memtk looks at what `what` of it gave.

        Raises:
            PluginError: in one sentence.
        """
        restore()
        try:
            yield
        except BaseException as error:
            if isinstance(error, PluginError) or not is_failure(error):
                raise
            why = str(error) if isinstance(error, UserError) else one_line(error)
            raise PluginError(f"{self.origin}: {what} gives what does not fit: {why}") from error

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return tuple(n for n in self.component.needs if not _installed(n))

    def load(self) -> Any:
        """Import and return the class.

        Raises:
            PluginError: if a dependency is missing (said before anything is imported), the
                component was written for another interface, or its import fails.
        """
        component, origin = self.component, self.origin
        if component.api != API:
            raise PluginError(
                f"{origin} is written for plugin interface {component.api}; this memtk has {API}. "
                f"Update {self.plugin.distribution}."
            )
        if self.missing:
            command = component.install or f"pip install {' '.join(self.missing)}"
            raise PluginError(f"{self.name} needs {', '.join(self.missing)}: {command}")
        module, _, attribute = component.target.partition(":")
        try:
            with shielded():
                found = getattr(importlib.import_module(module), attribute)
        except Stopped:
            raise
        except BaseException as error:
            raise PluginError(f"{origin} cannot be imported: {one_line(error)}") from error
        if not callable(found):
            raise PluginError(f"{origin}: {component.target} is no class")
        return found


class Registry:
    """All components of the active plugins.

    Args:
        host: the plugins. What fails in one plugin's hook is kept in `warnings`, and its other
            hooks and all other plugins are used.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.warnings = list(host.warnings)
        self._entries = {kind: list(self._collect(kind, hook)) for kind, hook in KINDS.items()}
        for kind, entries in self._entries.items():
            self.warnings += _unusable(kind, entries)

    def _collect(self, kind: str, hook: str) -> Iterable[Entry]:
        by_name = {p.name: p for p in self.host.plugins if p.status == "active"}
        for implementation in getattr(self.host.manager.hook, hook).get_hookimpls():
            plugin = by_name[implementation.plugin_name]
            try:
                with shielded():
                    components = list(islice(implementation.function(), MOST + 1))
                    wrong = [_malformed(component) for component in components]
            except Stopped:
                raise
            except BaseException as error:
                self.warnings.append(f"plugin {plugin.name!r}: {hook} failed: {one_line(error)}")
                continue
            if len(components) > MOST:
                self.warnings.append(f"plugin {plugin.name!r}: {hook} returned more than {MOST}")
                continue
            if odd := [complaint for complaint in wrong if complaint]:
                more = f", and {len(odd) - 1} more" if len(odd) > 1 else ""
                self.warnings.append(f"plugin {plugin.name!r}: {hook} returned {odd[0]}{more}")
            for component, complaint in zip(components, wrong, strict=True):
                if not complaint:
                    yield Entry(kind, component, plugin)

    def entries(self, kind: str) -> list[Entry]:
        """Return the components of a kind, by name.

        Raises:
            UserError: if there is no such kind.
        """
        if kind not in KINDS:
            raise UserError(
                f"unknown kind {kind!r}: there are {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"
            )
        return sorted(self._entries[kind], key=lambda e: (e.name, e.plugin.name))

    def find(self, kind: str, name: str) -> Entry:
        """Return the component called `name`, or `plugin/name` where two plugins share a name.

        Raises:
            UserError: if there is none, with the nearest name.
            PluginError: if two plugins bring it.
        """
        entries = self.entries(kind)
        plugin, slash, short = name.rpartition("/")
        matches = [e for e in entries if e.name == short and (not slash or e.plugin.name == plugin)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            origins = [f"{e.plugin.name} ({e.plugin.distribution})" for e in matches]
            ways = [f"{e.plugin.name}/{e.name}" for e in matches]
            if len(set(ways)) == 1:
                raise PluginError(
                    f"plugin {matches[0].plugin.name!r} brings {kind} {short!r} twice"
                )
            raise PluginError(
                f"{kind} {name!r} is brought by {' and '.join(origins)}: say {' or '.join(ways)}"
            )
        names = [e.name for e in entries]
        raise UserError(
            f"unknown {kind} {name!r}: there are {', '.join(names) or 'none'}."
            f"{did_you_mean(short, names)}"
        )

    def load(self, kind: str, name: str) -> Any:
        """Return the class of the component called `name`; see `find` and `Entry.load`."""
        return self.find(kind, name).load()


def _malformed(component: object) -> str:
    """Return what a hook returned in the place of a component; nothing of a component."""
    if type(component) is not Component:
        try:
            shown = printable(repr(component))[:100]
        except BaseException as error:
            if not is_failure(error):
                raise
            shown = f"something of {type(component).__name__}"
        return f"{shown}, not a Component"
    fields = {"name": str, "target": str, "summary": str, "install": str, "cases": str, "api": int}
    for field, kind in (fields | {"dims": frozenset, "needs": tuple}).items():
        value = getattr(component, field)
        if type(value) is not kind:  # one of a class of its own may do anything
            return f"a component of {component.target[:100]!r}, whose {field} is no {kind.__name__}"
        if isinstance(value, str) and len(value) > MOST:
            return f"a component whose {field} has {len(value)} signs"
    if not component.dims or not component.dims <= {2, 3}:
        return f"{component.name!r}, whose dims are not 2, 3 or both"
    if not all(type(each) is str for each in component.needs):
        return f"{component.name!r}, whose needs are no names of modules"
    return ""


def open_registry() -> Registry:
    """Load the installed plugins and return their components."""
    return Registry(load_plugins())


def _unusable(kind: str, entries: Iterable[Entry]) -> Iterable[str]:
    """Say of the components of a kind which share a name, and which another memtk is needed for."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.name, []).append(entry)
        if entry.component.api != API:
            yield (
                f"{kind} {entry.name!r} of plugin {entry.plugin.name!r} is written for plugin "
                f"interface {entry.component.api}; this memtk has {API}"
            )
    for name, same in by_name.items():
        if len({entry.plugin for entry in same}) > 1:
            origins = " and ".join(f"{e.plugin.name} ({e.plugin.distribution})" for e in same)
            ways = " or ".join(f"{entry.plugin.name}/{name}" for entry in same)
            yield f"{kind} {name!r} is brought by {origins}: say {ways}"


def _installed(module: str) -> bool:
    try:  # of a module below another one that would be imported, and run
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False
