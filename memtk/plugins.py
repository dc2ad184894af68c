"""Finds plugins by entry points. One plugin's failure stays its own."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from memtk import hookspecs
from memtk.errors import Stopped, did_you_mean, one_line, printable
from memtk.outputs import shielded

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint  # slow to import, and seldom there

GROUP = "memtk"
"""Of the entry points of plugins."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Names of plugins, which stand in results."""

SUFFIXES = (".dist-info", ".egg-info")
"""Of the folders that say what is installed."""


class Distribution(NamedTuple):
    """An installed package."""

    name: str
    version: str


class Point(NamedTuple):
    """An entry point, with the part of `importlib.metadata.EntryPoint` that memtk uses.

    Args:
        name: of the plugin.
        value: the module that it names, or "module:attribute".
        dist: the package that it belongs to.
    """

    name: str
    value: str
    dist: Distribution | None = None

    def load(self) -> Any:
        """Import and return what it names.

        Raises:
            ValueError: if it is malformed.
        """
        match = re.fullmatch(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(\[[^\]]*\]\s*)?", self.value)
        if match is None:
            raise ValueError(f"Invalid object reference {self.value!r}")
        module = importlib.import_module(match[1])
        return reduce(getattr, (match[2] or "").split(".") if match[2] else [], module)


def find_points(group: str, path: Sequence[str] | None = None) -> list[Point]:
    """Return the entry points of a group; of a package found twice on the path the first counts.

    `importlib.metadata` reads the same files as e-mails, which takes longer than all the rest of
    `memtk --help`; it is asked only where packages lie in anything but folders, a zip file say.

    Args:
        group: the name of the section in `entry_points.txt`.
        path: folders to look in, `sys.path` by default.
    """
    path = sys.path if path is None else path
    if any(os.path.isfile(folder) for folder in path):
        return _asked_of_importlib(group)
    found: list[Point] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(folder or "." for folder in path):
        for info in _folders(folder):
            guess = _guess(info)
            key = re.sub(r"[-_.]+", "-", guess.name).lower()
            if key in seen:
                continue
            seen.add(key)
            pairs = list(_section(_read(os.path.join(info, "entry_points.txt")), group))
            dist = _described(info, guess) if pairs else guess  # few packages are read
            found += [Point(name, value, dist) for name, value in pairs]
    return found


def _asked_of_importlib(group: str) -> list[Point]:
    from importlib.metadata import entry_points

    return [
        Point(p.name, p.value, Distribution(p.dist.name, p.dist.version) if p.dist else None)
        for p in entry_points(group=group)
    ]


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.path for e in entries if e.name.endswith(SUFFIXES) and e.is_dir())
    except OSError:
        return []


def _guess(info: str) -> Distribution:
    """Return name and version as the name of the folder says them."""
    stem = os.path.basename(info).rsplit(".", 1)[0]
    name, _, version = stem.partition("-")
    return Distribution(name, version.partition("-py")[0])


def _described(info: str, guess: Distribution) -> Distribution:
    """Return name and version as the metadata spells them: "memtk-example", not "memtk_example"."""
    text = _read(os.path.join(info, "METADATA")) or _read(os.path.join(info, "PKG-INFO"))
    head = dict(line.split(": ", 1) for line in text.split("\n\n")[0].splitlines() if ": " in line)
    name, version = head.get("Name", guess.name), head.get("Version", guess.version)
    return Distribution(printable(name), printable(version))


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


class Plugin(NamedTuple):
    """Where a plugin comes from and whether it works.

    Args:
        module: that the entry point names.
        distribution: the installed package that brings it, and its `version`.
        status: "active", "blocked" (by the user) or "broken".
        reason: why it is not active, in one line.
    """

    name: str
    module: str
    distribution: str
    version: str
    status: str = "active"
    reason: str = ""


class Host(NamedTuple):
    """The plugins that were found, and pluggy's manager of those that are active."""

    manager: pluggy.PluginManager
    plugins: tuple[Plugin, ...]

    @property
    def warnings(self) -> list[str]:
        """One line for each plugin that is broken."""
        return [
            f"plugin {p.name!r} of {p.distribution} {p.version} is left out: {p.reason}"
            for p in self.plugins
            if p.status == "broken"
        ]


def load_plugins(
    found: Iterable[EntryPoint | Point] | None = None, environ: Mapping[str, str] | None = None
) -> Host:
    """Import every plugin of the group `memtk` that the user allows.

    Args:
        found: entry points; the installed ones by default.
        environ: `MEMTK_PLUGINS` names the only plugins to load, `MEMTK_DISABLE_PLUGINS` those not
            to load; both separated by commas, by entry-point name.
    """
    environ = os.environ if environ is None else environ
    allowed = _names(environ.get("MEMTK_PLUGINS"))
    blocked = _names(environ.get("MEMTK_DISABLE_PLUGINS")) or set()
    manager = pluggy.PluginManager("memtk")
    manager.add_hookspecs(hookspecs)
    plugins: list[Plugin] = []
    seen: dict[str, tuple[str, Plugin]] = {}
    found = find_points(GROUP) if found is None else found
    for point in sorted(found, key=lambda p: (p.name, p.value)):
        value, first = seen.get(point.name, (None, None))
        if value == point.value:
            continue  # the same distribution found twice on the path
        plugin = _describe(point)
        if allowed is not None and point.name not in allowed:
            plugin = plugin._replace(status="blocked", reason="not in MEMTK_PLUGINS")
        elif point.name in blocked:
            plugin = plugin._replace(status="blocked", reason="in MEMTK_DISABLE_PLUGINS")
        elif not NAME.fullmatch(point.name):
            plugin = plugin._replace(
                status="broken", reason="its name is more than letters, digits, - _ ."
            )
        elif first is not None:
            there = f"{first.distribution} {first.version} has a plugin {point.name!r} already"
            plugin = plugin._replace(status="broken", reason=there)
        else:
            reason = _register(manager, point)
            plugin = plugin._replace(status="broken", reason=reason) if reason else plugin
        seen.setdefault(point.name, (point.value, plugin))
        plugins.append(plugin)
    return Host(manager, tuple(plugins))


def _names(text: str | None) -> set[str] | None:
    return None if text is None else {name.strip() for name in text.split(",") if name.strip()}


def _describe(point: EntryPoint | Point) -> Plugin:
    dist = point.dist
    name, version = (dist.name, dist.version) if dist else ("unknown", "?")
    module = point.value.partition(":")[0].strip()  # `point.module` fails where it is malformed
    return Plugin(point.name, module, name, version)


def _register(manager: pluggy.PluginManager, point: EntryPoint | Point) -> str:
    """Import and register one plugin; return why it failed, or an empty string."""
    try:
        with shielded():
            module = point.load()
    except Stopped:
        raise
    except BaseException as error:
        return f"its import failed: {one_line(error)}"
    if not isinstance(module, ModuleType):
        return f"its entry point names {point.value!r}, which is not a module"
    if module.__spec__ is not None and module.__spec__.origin is None:
        return f"{point.value!r} is a folder without __init__.py (install the package again?)"
    known = [name for name in vars(hookspecs) if name.startswith("memtk_")]
    for name in vars(module):
        if name.startswith("memtk_") and name not in known and _is_hook(vars(module)[name]):
            return f"there is no hook {name!r}.{did_you_mean(name, known)}"
    try:
        with shielded():
            manager.register(module, name=point.name)
            manager.check_pending()
    except Stopped:
        raise
    except BaseException as error:
        manager.unregister(name=point.name)
        return one_line(error)
    return ""


def _is_hook(thing: object) -> bool:
    return hasattr(thing, "memtk_impl")
