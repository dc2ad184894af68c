"""What is stored, and how: records as JSON, arrays as HDF5; whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from memtk.config import check_tree, parse_json
from memtk.errors import UserError, printable
from memtk.files import read_plain, replacing, require_space, write_text
from memtk.hdf5 import open_hdf5
from memtk.results.migrations import SCHEMA, migrate
from memtk.surroundings import restore

if TYPE_CHECKING:
    import h5py
    import numpy as np


LONGEST = 4000
"""Characters of a text."""

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
"""Keys of settings."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@,=:-]{0,199}")
"""Names of versions, suites, presets and cells."""

COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Names of components, plugins and packages."""

OF_FEATURES = re.compile(rf"{COMPONENT.pattern}(\[{COMPONENT.pattern}\])?")
"""Names of measures, with that of their extractor: "fid[medicalnet3d]"."""

_NAMED = {
    "cell": {"cell"},
    "preset": {"preset"},
    "suite": {"name", "version"},
    "components": {"version"},
}
"""Keys of a result below which names stand, by the first of their keys."""


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
    """
    for where, text, keys in _texts(result, ()):
        if len(text) > LONGEST or not text.isprintable():
            yield f"{where}: {ascii(text[:40])} is no line of text"
        elif _is_named(keys) and not NAME.fullmatch(text):
            yield f"{where}: {ascii(text[:40])} is no name"
    yield from odd_names(result)
    for table in ("request", "data"):
        yield from _odd_keys(result.get(table), table)
    for where, config in _configs(result.get("components"), "components"):
        yield from _odd_keys(config, where)


def _is_named(keys: tuple[str, ...]) -> bool:
    """Tell whether a name stands below these keys."""
    return bool(keys) and keys[-1] in _NAMED.get(keys[0], ()) and "config" not in keys


def odd_names(tree: Any, where: str = "") -> Iterator[str]:
    """Say which names of components, plugins and packages in a record are none that memtk takes."""
    for value in tree if isinstance(tree, list) else ():
        yield from odd_names(value, where)
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        below = f"{where}.{key}".lstrip(".")
        names: list[Any] = []
        if key in ("name", "plugin", "distribution") and {"plugin", "distribution"} <= {*tree}:
            names = [value]
        elif key in ("protocols", "membership", "quality", "measure_info"):
            names = [*value] if isinstance(value, Mapping) else []
        for name in names:
            if isinstance(name, str) and not OF_FEATURES.fullmatch(name):
                yield f"{below}: {ascii(name[:40])} is no name, which is letters, digits, - _ ."
        if key != "config":
            yield from odd_names(value, below)


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


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]], *, safe: bool = False) -> str:
    """Return a table as CSV, its lines ended as on Linux everywhere; `safe` makes texts inert."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([inert(x) if safe and isinstance(x, str) else x for x in row])
    return text.getvalue()


Fraction = Annotated[float, Field(ge=0, le=1)]

Seconds = Annotated[float, Field(ge=0, le=1e10)]
"""A duration that can be: up to 300 years."""


class StoredRecord(BaseModel):
    """Base of all that is stored as JSON: frozen, and an unknown key is an error.

    A number that is not finite is written as the text "NaN" or "Infinity", for which JSON has no
    number, and read again as what it was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


Stored = TypeVar("Stored", bound=StoredRecord)


def write_record(path: Path, record: StoredRecord) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        UserError: if the file cannot be written, naming it.
    """
    write_text(Path(path), record.model_dump_json(indent=1) + "\n")


DIGEST = "digest"
"""The attribute of a group of arrays by which it is known that memtk wrote all of them."""

AGAIN = "delete it and run the same command again"
"""The way out where a file of a run folder cannot be read."""


OF_BENCHES = "this takes a bench. `memtk report` shows an audit, `--json` of `memtk audit` gives it"
"""Said of an audit where the result of a bench is needed."""


def read_record(path: Path, kind: type[Stored], way_out: str = AGAIN) -> Stored:
    """Read a record of a kind; one of an older schema as the newest would have written it.

    Args:
        way_out: what to do about a file that is damaged or does not fit.

    Raises:
        UserError: if the file is missing, damaged, or written by a newer memtk, naming it.
    """
    try:
        tree = parse(read_plain(Path(path)))
    except FileNotFoundError as error:
        if not Path(path).parent.is_dir():
            raise UserError(f"there is no folder {Path(path).parent}") from error
        if Path(path).name == "audit.json" and Path(path).with_name("cells").is_dir():
            raise UserError(f"{Path(path).parent} is a bench; this takes an audit") from error
        raise UserError(f"there is no {path}: the run has not come that far") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {way_out}") from error
    if odd := next(odd_names(tree), ""):
        raise UserError(f"{path} is not as memtk writes it: {odd}: {way_out}")
    version = tree.get("schema_version", SCHEMA) if isinstance(tree, dict) else SCHEMA
    if isinstance(version, int) and version > SCHEMA:
        raise UserError(
            f"{path} has schema {version}; this memtk reads schema {SCHEMA}: update memtk"
        )
    try:
        old = isinstance(tree, dict) and version != SCHEMA
        record = kind.model_validate_json(json.dumps(migrate(tree) if old else tree))
    except ValidationError as error:
        if isinstance(tree, dict) and "verdict" in tree and "verdict" not in kind.model_fields:
            raise UserError(f"{path} is the record of an audit; {OF_BENCHES}") from error
        first = error.errors()[0]
        where = ascii(".".join(str(part) for part in first["loc"]))[1:-1][:200]
        raise UserError(f"{path} does not fit: {where}: {first['msg']}: {way_out}") from error
    try:
        check_tree(record.model_dump())  # a number that was written as a text has become one
    except ValueError as error:
        raise UserError(f"{path} does not fit: {error}: {way_out}") from error
    return record


EACH = 3_000
"""Bytes that an array takes beside its numbers: its header, its name, the index of its parts."""


def write_arrays(path: Path, group: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a group of a file, in place of one of that name; other groups stay.

    The file is written anew and renamed, so that it is never seen half written, and every array
    has a checksum.

    Args:
        path: the HDF5 file, made if it is missing.
        group: its name ("step-000900").

    Raises:
        UserError: if the file that is there is damaged, or cannot be written, naming it.
    """
    import h5py

    path = Path(path)
    there = path.stat().st_size if path.exists() else 0
    with replacing(path) as temporary:
        require_space(temporary, there + sum(EACH + array.nbytes for array in arrays.values()))
        with h5py.File(temporary, "w") as new:
            if path.exists():
                with _open(path) as old:
                    try:
                        for name in old:
                            if name != group:
                                old.copy(name, new)
                    except (RuntimeError, KeyError, ValueError) as error:
                        raise _damaged(path) from error
            target = new.create_group(group)
            for name, array in arrays.items():
                checked = array.ndim > 0 and array.size > 0
                target.create_dataset(name, data=array, fletcher32=checked)
            target.attrs[DIGEST] = _digest(arrays)


def read_arrays(path: Path, group: str) -> dict[str, np.ndarray]:
    """Return the arrays of a group by name.

    Raises:
        UserError: if the file is missing or damaged or has no such group, naming it.
    """
    import h5py

    with _open(Path(path)) as file:
        found = _own(file, group)
        if not isinstance(found, h5py.Group):
            raise UserError(f"{path} has no group {group!r}: it has {', '.join(file) or 'none'}")
        left, arrays = Path(path).stat().st_size, {}
        try:
            for name in found:
                arrays[name] = _array(found, name, left)
                left -= arrays[name].nbytes
            known = found.attrs.get(DIGEST)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise _damaged(Path(path)) from error
    if known is not None and str(known) != _digest(arrays):  # None: an old one
        raise UserError(f"{path} is not as memtk wrote it (the arrays of {group!r}): {AGAIN}")
    return arrays


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return what arrays of the same names, shapes and numbers share."""
    import numpy as np

    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _own(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return what lies in the file itself and has this name alone, or None."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return found if h5py.h5o.get_info((found := group[name]).id).rc == 1 else None


def _array(group: h5py.Group, name: str, size: int) -> np.ndarray:
    """Read one array that lies in the file itself, all of it.

    Raises:
        ValueError: if it has another place or name, more than `size` bytes or than are stored, or
            something else than numbers.
    """
    import h5py
    import numpy as np

    dataset = _own(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise ValueError(f"{name} lies in another file")
    if dataset.nbytes > min(size, dataset.id.get_storage_size()):
        raise ValueError(f"{name} claims more than the file holds")
    if dataset.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds no numbers")
    if np.isnan(array := dataset[()]).any():
        raise ValueError(f"{name} holds NaN")
    return array


def has_arrays(path: Path, group: str) -> bool:
    """Tell whether a file is there and has a group.

    Raises:
        UserError: if the file is damaged, naming it.
    """
    restore()
    if not Path(path).exists():
        return False
    with _open(Path(path)) as file:
        return group in file


def array_groups(path: Path) -> list[str]:
    """Return the names of the groups of a file, sorted.

    Raises:
        UserError: if the file is damaged or missing, naming it.
    """
    with _open(Path(path)) as file:
        return sorted(file)


def _open(path: Path):  # type: ignore[no-untyped-def]  # h5py is imported on first use
    restore()
    if not path.exists():
        raise UserError(f"there is no {path}: the run has not come that far")
    if not path.is_file():
        raise _damaged(path)
    try:
        return open_hdf5(path)
    except OSError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged: delete it and run the same command again")
