"""Files of strangers: read within bounds, and what their texts may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from memtk.config import parse_json
from memtk.errors import printable

LONGEST = 4000
"""Characters of a text."""

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
"""Keys of settings."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@,=:-]{0,199}")
"""Names of components, plugins, packages, versions, presets and cells."""

_NAMED = frozenset({"cell", "preset", "name", "plugin", "distribution", "version"})
"""Keys of a result below which names stand."""


def _one_folder(name: str) -> str:
    if not name or name.startswith(".") or len(name) > 200 or re.search(r"[/\\:\x00-\x1f]", name):
        raise ValueError("it names no folder of this run")
    return name


FolderName = Annotated[str, AfterValidator(_one_folder)]
"""A text that is the name of a file or folder right where it is looked for, and no path."""


def parse(content: bytes) -> Any:
    """Return a JSON tree whose texts can be shown: control characters become "\ufffd".

    Raises:
        ValueError: see `memtk.config.parse_json`.
    """
    return _shown(parse_json(content))


def _shown(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {printable(k): _shown(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_shown(value) for value in tree]
    return printable(tree) if isinstance(tree, str) else tree


def odd_texts(result: Mapping[str, Any]) -> Iterator[str]:
    """Say which texts of a result are none that memtk writes.

    A text is a line that can be printed; a name is made of letters, digits and a few signs; a key
    of a setting is a word. So none can be markup, a formula, or a second command.

    Args:
        result: as JSON has it.
    """
    for where, text, keys in _texts(result, ()):
        if len(text) > LONGEST or not text.isprintable():
            yield f"{where}: {ascii(text[:40])} is no line of text"
        elif _is_named(keys) and not NAME.fullmatch(text):
            yield f"{where}: {ascii(text[:40])} is no name"
    for table in ("request", "data"):
        yield from _odd_keys(result.get(table), table)
    for where, config in _configs(result.get("components"), "components"):
        yield from _odd_keys(config, where)


def _is_named(keys: tuple[str, ...]) -> bool:
    """Tell whether a name stands below these keys."""
    within = bool(keys) and keys[0] in ("cell", "preset", "suite", "components")
    return within and keys[-1] in _NAMED and "config" not in keys


def _texts(tree: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if len(key) > 200 or not key.isprintable():
                yield ".".join(keys) or "the file", key, ()
            else:
                yield from _texts(value, (*keys, key))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _texts(value, keys)
    elif isinstance(tree, str):
        yield ".".join(keys), tree, keys


def _configs(tree: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, list):
        for value in tree:
            yield from _configs(value, where)
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "config":
                yield f"{where}.config", value
            else:
                yield from _configs(value, f"{where}.{key}")


def _odd_keys(tree: Any, where: str) -> Iterator[str]:
    if isinstance(tree, list):
        for value in tree:
            yield from _odd_keys(value, where)
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            plugin, slash, name = key.rpartition("/")  # readers stand as plugin/name
            if KEY.fullmatch(name) and (not slash or KEY.fullmatch(plugin)):
                yield from _odd_keys(value, f"{where}.{key}")
            else:
                yield f"{where}: {ascii(key[:40])} is no key of a setting"


def inert(text: str) -> str:
    """Keep a text from being run as a formula by a spreadsheet program.

    >>> inert("=1+1"), inert("monai2d")
    ("'=1+1", 'monai2d')
    """
    return f"'{text}" if text[:1] and text[0] in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20" else text
