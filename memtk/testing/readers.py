"""What every reader must keep to."""

from __future__ import annotations

import shutil
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from memtk.data.readers import reading
from memtk.errors import UserError
from memtk.interfaces import Reader, Record, Volume
from memtk.testing.assertions import applies, expect
from memtk.testing.case import Case

TELLING = 2**17
"""Bytes of voxels that an example needs before it shows whether they are read."""

CORRUPTIONS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "of other content": lambda content: b"\x00not an image\xff" * 40,
}


@contextmanager
def example_of(case: Case) -> Iterator[Path]:
    """Give the path of the example; one that is written for it is deleted afterwards."""
    applies(case.example is not None, case.lacking)
    if not callable(case.example):
        yield Path(case.example or "")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield case.example(Path(folder))


def check_suffixes_fit_the_example(case: Case) -> None:
    """Suffixes are lower case, with the dot, and one fits the example."""
    name, suffixes = case.cls.__name__, getattr(case.make(), "suffixes", None)
    expect(
        isinstance(suffixes, tuple) and len(suffixes) > 0,
        f"{name}.suffixes is {suffixes!r}, not a tuple of what file names end in",
    )
    for suffix in suffixes or ():
        expect(
            isinstance(suffix, str) and suffix.startswith(".") and suffix == suffix.lower(),
            f"{name}.suffixes has {suffix!r}: write it in lower case, with the dot",
        )
    with example_of(case) as path:
        expect(
            path.is_dir() or path.name.lower().endswith(suffixes or ()),
            f"{name}.suffixes {suffixes} do not fit the example {path.name}",
        )


def check_records_are_told_apart(case: Case) -> None:
    """Every image of a file is listed once, the same each time."""
    what, reader = f"{case.cls.__name__}.records", case.make()
    with example_of(case) as path:
        records = _records(reader, path)
        expect(len(records) > 0, f"{what} finds no image in {path.name}")
        for record in records:
            found = type(record).__name__
            expect(isinstance(record, Record), f"{what} lists a {found}, not a Record")
        expect(len(set(records)) == len(records), f"{what} lists one image twice in {path.name}")
        again = _records(reader, path)
        expect(again == records, f"{what} lists others the second time")


def check_volumes_are_sound(case: Case) -> None:
    """Voxels are (C, *S) of a real dtype, spacing in mm and affine fit them."""
    what = f"{case.cls.__name__}.read"
    for volume in _volumes(case):
        found = type(volume).__name__
        expect(isinstance(volume, Volume), f"{what} gives a {found}, not a Volume")
        voxels = volume.voxels
        expect(
            isinstance(voxels, np.ndarray) and voxels.ndim in (3, 4),
            f"{what} gives voxels of shape {np.shape(voxels)}, expected (C, H, W) or (C, D, H, W)",
        )
        expect(
            voxels.dtype.kind in "buif",
            f"{what} gives voxels of dtype {voxels.dtype}, not a real one",
        )
        expect(voxels.size > 0, f"{what} gives no voxels")
        expect(
            len(volume.spacing) == voxels.ndim - 1 and all(s > 0 for s in volume.spacing),
            f"{what} gives the spacing {volume.spacing}, expected {voxels.ndim - 1} sizes in mm",
        )
        shape = None if volume.affine is None else np.shape(volume.affine)
        expect(shape in (None, (4, 4)), f"{what} gives an affine of shape {shape}, expected (4, 4)")


def check_records_open_no_voxels(case: Case) -> None:
    """Listing the images of a file takes less memory than half of their voxels."""
    reader = case.make()
    with example_of(case) as path:
        size = sum(_read(reader, record).voxels.nbytes for record in _records(reader, path))
        applies(
            size >= TELLING, f"the example has {size} bytes of voxels; {TELLING} are needed to tell"
        )
        tracemalloc.start()
        try:
            _records(case.make(), path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    expect(
        peak < size / 2,
        f"{case.cls.__name__}.records takes {peak} bytes of memory to list {size} bytes of "
        "voxels; it must not read them",
    )


def check_reading_twice_gives_the_same_voxels(case: Case) -> None:
    """A file is read the same each time, by one instance and by a fresh one."""
    with example_of(case) as path:
        reader = case.make()
        for record in _records(reader, path):
            voxels = _read(reader, record).voxels
            for other, when in ((reader, "the second time"), (case.make(), "by a fresh reader")):
                again = _read(other, record).voxels
                same = np.array_equal(again, voxels, equal_nan=voxels.dtype.kind == "f")
                expect(same, f"{case.cls.__name__}.read gives other voxels {when}")


def check_reading_leaves_the_file_as_it_was(case: Case) -> None:
    """Neither the file nor its folder is changed."""
    with example_of(case) as path:
        before, reader = _contents(path), case.make()
        for record in _records(reader, path):
            _read(reader, record)
        expect(
            _contents(path) == before, f"{case.cls.__name__} changes {path.name} when it is read"
        )


def _records(reader: Reader, path: Path) -> list[Record]:
    """List as memtk does: whatever a reader raises about a file becomes a sentence."""
    with reading(path):
        return [r for r in reader.records(path) if not getattr(r, "left_out", "")]


def _read(reader: Reader, record: Record) -> Volume:
    with reading(record.path, record.item):
        return reader.read(record)


def _volumes(case: Case) -> Sequence[Volume]:
    reader = case.make()
    with example_of(case) as path:
        return [_read(reader, record) for record in _records(reader, path)]


def _contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def check_damaged_files_are_refused_by_name(case: Case) -> None:
    """An empty, a truncated and a foreign file are each refused, whatever is raised."""
    with example_of(case) as path:
        for way, corrupt in CORRUPTIONS.items():
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / path.name
                _check_refused(case.make(), _corrupted(path, copy, corrupt), copy, way)


def check_missing_files_are_refused_by_name(case: Case) -> None:
    """A file that is not there is a `UserError` that names it."""
    with example_of(case) as path, tempfile.TemporaryDirectory() as folder:
        missing = Path(folder) / path.name
        _check_refused(case.make(), missing, missing, "missing")


def _corrupted(path: Path, copy: Path, corrupt: Callable[[bytes], bytes]) -> Path:
    """Copy a file or the folder of a series; corrupt it, or the largest file in it."""
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copy(path, copy)
    files = [f for f in copy.rglob("*") if f.is_file()] if copy.is_dir() else [copy]
    target = max(files, key=lambda f: f.stat().st_size)
    target.write_bytes(corrupt(target.read_bytes()))
    return target


def _check_refused(reader: Reader, target: Path, path: Path, way: str) -> None:
    name = type(reader).__name__
    try:
        for record in _records(reader, path):
            _read(reader, record)
    except UserError as error:
        if target.name in str(error) or path.name in str(error):
            return
        raise AssertionError(
            f"{name}: the error for a file that is {way} does not name it: {error}"
        ) from error
    raise AssertionError(f"{name} reads a file that is {way}; it must raise a UserError")
