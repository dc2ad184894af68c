"""A component's configuration from TOML, presets and --set; an unknown key gets a suggestion."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from memtk.errors import UserError, did_you_mean, one_line, printable
from memtk.files import read_plain

DEEPEST = 40
"""Tables within tables, of a JSON file of a stranger."""

SAID = 9
"""Mistakes in settings that are told of at once."""

Config = TypeVar("Config", bound=BaseModel)


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested mappings over one another; the last one wins.

    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                merged[key] = merge(below, value)
            else:
                merged[key] = _copy(value)
    return merged


def layered(said: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Lay what a command's options say over what `--set` says, which may not be the same things.

    Args:
        said: nested tables.
        options: what options say, by table and key.

    Raises:
        UserError: if both say one thing, whatever they say of it, or `said` has no table where
            options have one: one would be lost.

    >>> layered({"bench": {"seed": 1}}, {"bench": {"preset": "smoke"}})
    {'bench': {'seed': 1, 'preset': 'smoke'}}
    """
    for table, own in options.items():
        there = said.get(table, {})
        if not isinstance(there, Mapping):
            raise UserError(f"{table} = {there!r}: expected keys below it, {table}.KEY=VALUE")
        for key in own:
            if key in there:
                flag = "" if table == "data" else f" (--{key.replace('_', '-')})"
                raise UserError(
                    f"{table}.{key} is said twice, by --set and by an option{flag}: say it once"
                )
    return merge(said, options)


def _copy(value: Any) -> Any:
    return merge(value) if isinstance(value, Mapping) else value


def parse_set(text: str) -> dict[str, Any]:
    """Turn `"a.b=VALUE"` into `{"a": {"b": VALUE}}`. VALUE is TOML; what is not TOML is a string.

    >>> parse_set("generator.diffusion.steps=100")
    {'generator': {'diffusion': {'steps': 100}}}
    >>> parse_set("data.shape=32,32,32")
    {'data': {'shape': [32, 32, 32]}}

    Raises:
        UserError: if there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(
            f"--set {text!r}: write it as KEY=VALUE, e.g. generator.diffusion.steps=100"
        )
    tree: Any = _value(value.strip())
    for part in reversed(parts):
        tree = {part: tree}
    return tree


def _value(text: str) -> Any:
    if text.lower() in {"none", "null"}:
        return None
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            parsed = tomllib.loads(f"x = {candidate}")
        except (ValueError, RecursionError):  # also numbers of thousands of digits
            continue
        if len(parsed) == 1:  # a line break would begin a second key
            return parsed["x"]
    return text


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UserError: if it is missing or malformed, naming file and line.
    """
    try:
        return tomllib.loads(read_plain(Path(path)).decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except RecursionError as error:
        raise UserError(f"{path} is not valid TOML: it is nested too deep") from error
    except ValueError as error:  # no UTF-8, no TOML, or a number of thousands of digits
        raise UserError(f"{path} is not valid TOML: {_why(error)}") from error


BEYOND = "it has a whole number of more than 63 bits"


def _why(error: ValueError) -> str:
    """Return why a text could not be read, of thousands of digits not in Python's words."""
    return BEYOND if "int_max_str_digits" in str(error) else str(error)


def parse_json(content: bytes) -> Any:
    """Return the tree of a JSON file of a stranger.

    Raises:
        ValueError: for what is no JSON, is nested deeper than `DEEPEST`, or has a whole number that
            no count can be.
    """
    try:
        tree = json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except ValueError as error:
        raise ValueError(_why(error)) from error
    check_tree(tree)
    return tree


def check_tree(tree: Any, depth: int = 0) -> None:
    """Refuse a tree that is nested deeper than `DEEPEST`, or has a number that no count can be.

    Raises:
        ValueError: for either.
    """
    if depth > DEEPEST:
        raise ValueError("it is nested too deep")
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            check_tree(value, depth + 1)
    elif isinstance(tree, int) and abs(tree) >= 2**63:
        raise ValueError(BEYOND)


def load_json(path: Path, needed: str) -> dict[str, Any]:
    """Read a JSON file that holds a table.

    Args:
        needed: what the file is a part of, for the message where it is missing.

    Raises:
        UserError: if it is missing, malformed or no table, naming it.
    """
    try:
        content = parse_json(read_plain(path))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: {needed}") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read as JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no table")
    return content


def build(config: type[Config], *layers: Mapping[str, Any], where: str = "") -> Config:
    """Make a `config` from nested mappings, the last one winning.

    Args:
        where: the prefix of its keys for messages ("generator").

    Raises:
        UserError: for an unknown key (with the nearest known one) or a value that does not fit.
    """
    try:
        return config.model_validate(merge(*layers))
    except ValidationError as error:
        wrong = error.errors()
        lines = [_explain(config, item, where) for item in wrong[:SAID]]
        more = [f"and {len(wrong) - SAID} more"] if len(wrong) > SAID else []
        raise UserError("\n".join(lines + more)) from error


def _explain(config: type[BaseModel], item: Any, where: str) -> str:
    path = [str(part) for part in item["loc"]]
    key = ".".join([where, *path] if where else path)
    if item["type"] == "missing":
        home = _table(config, path[:-1])
        what = home.model_fields[path[-1]].description if home else None
        return f"{key} is missing: --set {key}=...{f' ({what})' if what else ''}"
    if item["type"] == "tuple_type":
        return (
            f"{key} = {_short(item['input'])}: write its values with commas, as in {key}=1,2,3, "
            f"and one alone as {key}=1,"
        )
    if item["type"] == "string_unicode":
        return f"{key} = {printable(_short(item['input']))}: it is not in UTF-8, rename it"
    if item["type"] != "extra_forbidden":
        return f"{key} = {_short(item['input'])}: {item['msg'].removeprefix('Value error, ')}"
    table = _table(config, path[:-1])
    if table is None:
        return f"unknown key {key[:200]!r}"
    names = sorted(table.model_fields)
    prefix = ".".join([where, *path[:-1]] if where else path[:-1])
    known = f"{prefix or 'it'} has {', '.join(names)}" if names else f"{prefix or 'it'} has no keys"
    return f"unknown key {key[:200]!r}: {known}.{did_you_mean(path[-1], names)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _table(config: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """Return the model of the keys at `path`, None where it is not plain which."""
    for part in path:
        field = config.model_fields.get(part)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        models = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if len(models) != 1:
            return None
        config = models[0]
    return config


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return nested settings as dotted keys with their values, in their order.

    >>> list(flat({"a": {"b": 1}, "c": [1, 2], "d": None, "e": {}}))
    [('a.b', 1), ('c', [1, 2]), ('d', None)]
    """
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """Return the dotted keys in which two configurations differ, with both values.

    >>> differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}, "d": 4})
    [('a.b', 1, 3), ('d', None, 4)]
    """
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*one, *other}):
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differing(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append((f"{prefix}{key}", a, b))
    return found
