"""What every reader must keep to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from memtk.errors import UserError
from memtk.interfaces import Reader, Record, Volume
from memtk.testing.verdict import expect


def check_reader(cls: type, path: Path) -> None:
    """Read a sound file and damaged copies of it.

    Args:
        cls: made as `cls()`.
        path: a file of that format (or the folder of a series); it is not changed.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    reader: Reader = cls()
    path = Path(path)
    check_suffixes(reader, path)
    for record in check_records(reader, path):
        check_volume(reader, record)
    check_damage(reader, path)


def check_suffixes(reader: Reader, path: Path) -> None:
    """Check that the reader says what its files are called.

    Raises:
        AssertionError: if a suffix is malformed, or none fits the example.
    """
    name, suffixes = type(reader).__name__, getattr(reader, "suffixes", None)
    expect(
        isinstance(suffixes, tuple) and len(suffixes) > 0,
        f"{name}.suffixes is {suffixes!r}, not a tuple of what file names end in",
    )
    for suffix in suffixes or ():
        expect(
            isinstance(suffix, str) and suffix.startswith(".") and suffix == suffix.lower(),
            f"{name}.suffixes has {suffix!r}: write it in lower case, with the dot",
        )
    expect(
        path.is_dir() or path.name.lower().endswith(suffixes or ()),
        f"{name}.suffixes {suffixes} do not fit the example {path.name}",
    )


def check_records(reader: Reader, path: Path) -> Sequence[Record]:
    """Check the images that are listed.

    Raises:
        AssertionError: if there are none, or one cannot be told from another.
    """
    what = f"{type(reader).__name__}.records"
    records = reader.records(path)
    expect(len(records) > 0, f"{what} finds no image in {path.name}")
    for record in records:
        expect(isinstance(record, Record), f"{what} lists a {type(record).__name__}, not a Record")
    expect(len(set(records)) == len(records), f"{what} lists one image twice in {path.name}")
    expect(list(reader.records(path)) == list(records), f"{what} lists others the second time")
    return records


def check_volume(reader: Reader, record: Record) -> None:
    """Check the voxels of one image, and what is said about them.

    Raises:
        AssertionError: with what is there and what was expected.
    """
    what = f"{type(reader).__name__}.read"
    volume = reader.read(record)
    expect(isinstance(volume, Volume), f"{what} gives a {type(volume).__name__}, not a Volume")
    voxels = volume.voxels
    expect(
        isinstance(voxels, np.ndarray) and voxels.ndim in (3, 4),
        f"{what} gives voxels of shape {np.shape(voxels)}, expected (C, H, W) or (C, D, H, W)",
    )
    expect(
        voxels.dtype.kind in "buif", f"{what} gives voxels of dtype {voxels.dtype}, not a real one"
    )
    expect(voxels.size > 0, f"{what} gives no voxels")
    expect(
        len(volume.spacing) == voxels.ndim - 1 and all(s > 0 for s in volume.spacing),
        f"{what} gives the spacing {volume.spacing}, expected {voxels.ndim - 1} sizes in mm",
    )
    shape = None if volume.affine is None else np.shape(volume.affine)
    expect(shape in (None, (4, 4)), f"{what} gives an affine of shape {shape}, expected (4, 4)")
    again = reader.read(record).voxels
    same = np.array_equal(again, voxels, equal_nan=voxels.dtype.kind == "f")
    expect(same, f"{what} gives other voxels the second time")


def check_damage(reader: Reader, path: Path) -> None:
    """Check that a missing or damaged file is a `UserError` that names it.

    Raises:
        AssertionError: if it is read, or fails in another way.
    """
    ways: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda content: b"",
        "truncated": lambda content: content[: len(content) // 2],
        "of other content": lambda content: b"\x00not an image\xff" * 40,
    }
    for way, damage in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            _check_refused(reader, _damaged(path, copy, damage), copy, way)
    with tempfile.TemporaryDirectory() as folder:
        missing = Path(folder) / path.name
        _check_refused(reader, missing, missing, "missing")


def _damaged(path: Path, copy: Path, damage: Callable[[bytes], bytes]) -> Path:
    """Copy a file or the folder of a series; damage it, or the largest file in it."""
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copy(path, copy)
    files = [f for f in copy.rglob("*") if f.is_file()] if copy.is_dir() else [copy]
    target = max(files, key=lambda f: f.stat().st_size)
    target.write_bytes(damage(target.read_bytes()))
    return target


def _check_refused(reader: Reader, target: Path, path: Path, way: str) -> None:
    name = type(reader).__name__
    try:
        for record in reader.records(path):
            reader.read(record)
    except UserError as error:
        expect(
            target.name in str(error) or path.name in str(error),
            f"{name}: the error for a file that is {way} does not name it: {error}",
        )
        return
    except Exception as error:
        raise AssertionError(
            f"{name} raises {type(error).__name__} for a file that is {way}, not a UserError"
        ) from error
    raise AssertionError(f"{name} reads a file that is {way}; it must raise a UserError")
