"""The one place where files of images are read: finds the reader, and makes a sentence of failures.

Files are untrusted, and libraries raise what they like about broken ones. So every call of a reader
stands in `reading`, and what a header claims is held against the file (`check_size`) before memory
is asked for.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from memtk.data.formats import way_to_read, what_it_is
from memtk.data.reader_checks import listed_records, no_records, no_volume
from memtk.errors import PluginError, UserError, is_failure, one_line, printable
from memtk.imaging.geometry import MOST_VOXELS
from memtk.interfaces import Reader, Record, Volume
from memtk.registry import Entry, Registry
from memtk.surroundings import restore

GROWTH, FLOOR = 200, 2**26
"""What is read out of a file may be 64 MiB, or as many times the file's size: nothing that shows
anything is compressed further."""

ROWS = 10_000
"""So many images may be in a file of however few bytes."""

SCANS = 100
"""A JPEG may have so many scans, and has about ten: of a few bytes each takes as long as a whole
picture."""

DECODERS = (
    (r"decompress '([^']*JPEG-LS[^']*)'", "pip install pylibjpeg pylibjpeg-libjpeg"),
    (r"decompress '([^']*2000[^']*)'", "pip install pylibjpeg pylibjpeg-openjpeg"),
    (r"decompress '([^']*)'", "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"),
    (r"Pillow does not support '([^']*)'", "pip install pylibjpeg pylibjpeg-libjpeg"),
    (r"COMPRESSION\.(\w+).*requires the 'imagecodecs'", "pip install imagecodecs"),
    (r"requires the '(imagecodecs)'", "pip install imagecodecs"),
    (r"No module named '((?:compression|backports)[\w.]*)'", "pip install imagecodecs"),
    (r"required filter '([^']*)'", "pip install hdf5plugin"),
    (r"can't open directory .*(plugin)", "pip install hdf5plugin"),
    (r"(filter) .*is not (?:registered|available)", "pip install hdf5plugin"),
    (r"No module named '([\w.]+)'", "install it with pip"),
    (r"COMPRESSION\.(\w+): \d+> not supported", "none is known: save it without this compression"),
)
"""What libraries say of a decoder that is not installed: the compression, and what brings it."""

OWN = "memtk"
"""The package whose readers may refuse files for damage before another is asked."""


class Readers:
    """All readers of the active plugins.

    Args:
        registry: readers whose requirements are not installed, or that cannot be loaded, are left
            out, and named when nothing else reads a file.
    """

    def __init__(self, registry: Registry) -> None:
        entries = registry.entries("reader")
        self._missing = [entry for entry in entries if entry.missing]
        self._broken: list[str] = []  # one plugin's failure stays its own
        self._readers: list[tuple[Entry, Reader]] = []
        for entry in entries:
            try:
                if not entry.missing:
                    reader = entry.load()()
                    if any(type(suffix) is not str for suffix in reader.suffixes):
                        raise TypeError("its suffixes are no texts")
                    self._readers.append((entry, reader))
            except BaseException as error:
                if not is_failure(error):
                    raise
                self._broken.append(f"{entry.name} ({one_line(error)})")
        self._by_path: dict[Path, tuple[Entry, Reader]] = {}

    @property
    def suffixes(self) -> list[str]:
        """The suffixes that some reader knows."""
        return sorted({suffix for _, reader in self._readers for suffix in reader.suffixes})

    def knows(self, path: Path) -> bool:
        """Tell whether the name of a file has a known suffix."""
        return bool(self._matches(path))

    def is_slice(self, path: Path) -> bool:
        """Tell whether a file may belong to others of its folder: by its suffix or its content."""
        found = self._matches(path) or self._claimed(path)
        return any(getattr(reader, "folders", False) for _, reader in found)

    def find(self, path: Path) -> tuple[Entry, Reader]:
        """Return the reader of a file, or of a folder that holds series.

        Raises:
            UserError: if none reads it, with a way out.
            PluginError: if two plugins claim it.
        """
        if path in self._by_path:
            return self._by_path[path]
        if path.is_dir():
            self.records(path)
            return self._by_path[path]
        found = self._matches(path) or self._claimed(path)
        if not found:
            known = "not read" if way_to_read(path) else "of an unknown format"
            raise UserError(f"{path} is {known}: {self.way_out([path])}")
        return self._only(path, found)

    def way_out(self, paths: Sequence[Path]) -> str:
        """Say what to do with files that no reader knows."""
        if way := next(filter(None, map(way_to_read, paths)), ""):
            return way
        missing = [f"{e.name} (needs {', '.join(e.missing)})" for e in self._missing]
        absent = f" Not installed: {', '.join(missing)}." if missing else ""
        absent += f" Left out: {', '.join(self._broken)}." if self._broken else ""
        return f"there are readers for {', '.join(self.suffixes)}.{absent}"

    def records(self, path: Path) -> Sequence[Record]:
        """List the images in a file, or those that the files of a folder make together.

        Raises:
            UserError: if it cannot be read, naming it; see `find` too.
        """
        check_regular(path)
        if path.is_dir():
            listed = [pair for pair in self._readers if getattr(pair[1], "folders", False)]
        else:
            listed = [self.find(path)]
        found: dict[int, list[Record]] = {}
        for number, (entry, reader) in enumerate(listed):
            with reading(
                path, "" if entry.plugin.distribution == OWN else f"plugin {entry.plugin.name}"
            ):
                records = listed_records(reader.records(path))
                if odd := no_records(records, path):
                    raise UserError(f"cannot read {path}: the reader {entry.name} lists {odd}")
                if records:
                    found[number] = records
        if path.is_dir() and not found:
            raise UserError(f"{path} holds no image series: {self.way_out([])}")
        if not found:
            return []
        pair = self._only(path, [listed[number] for number in found])
        records = next(iter(found.values()))
        self._by_path |= {record.path: pair for record in records} | {path: pair}
        return records

    def check_whole(self, patients: Mapping[Path, str]) -> None:
        """Refuse images of which the folders that were listed hold a part each.

        Args:
            patients: of folders, where a manifest names them.

        Raises:
            UserError: naming the folders.
        """
        for entry, reader in self._readers:
            if check := getattr(reader, "check_whole", None):
                with self._kept_apart(entry):
                    check(patients)

    def left_out(self, *sources: Collection[Path]) -> dict[Path, str]:
        """Return which of the images of each source are none beside its others, and why."""
        found: dict[Path, str] = {}
        for entry, reader in self._readers:
            if left_out := getattr(reader, "left_out", None):
                with self._kept_apart(entry):
                    for images in sources:
                        whys = left_out(images).items()
                        found |= {Path(path): printable(str(why)) for path, why in whys}
        return found

    def read(self, record: Record) -> Volume:
        """Read one image: (C, H, W) or (C, D, H, W). An axis of one voxel is no depth.

        Raises:
            UserError: if it cannot be read, naming it; see `find` too.
        """
        check_regular(record.path)
        entry, reader = self.find(record.path)
        with reading(record.path, record.item):
            volume = reader.read(record)
            if odd := no_volume(volume):
                raise UserError(
                    f"cannot read {_where(record)}: the reader {entry.name} gives {odd}"
                )
            volume = _without_flat_axis(volume, record)
            if not all(1e-7 < size < 1e4 for size in volume.spacing):
                sizes = " x ".join(f"{size:.4g}" for size in volume.spacing)
                raise UserError(f"cannot read {_where(record)}: {sizes} mm are no size of a voxel")
            return volume

    def __getstate__(self) -> dict[str, Any]:
        """Leave the readers themselves out, which may hold open files: others are made."""
        places = {id(reader): place for place, (_, reader) in enumerate(self._readers)}
        return self.__dict__ | {
            "_readers": [entry for entry, _ in self._readers],
            "_by_path": {path: places[id(pair[1])] for path, pair in self._by_path.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._readers = [(entry, entry.load()()) for entry in state["_readers"]]
        self._by_path = {path: self._readers[at] for path, at in state["_by_path"].items()}

    def _matches(self, path: Path) -> list[tuple[Entry, Reader]]:
        """Return the readers with the longest suffix that the name ends in."""
        name, best = path.name.lower(), 0
        found: list[tuple[Entry, Reader]] = []
        for entry, reader in self._readers:
            length = max((len(s) for s in reader.suffixes if name.endswith(s)), default=0)
            if length > best:
                best, found = length, []
            if length and length == best:
                found.append((entry, reader))
        return found

    def _claimed(self, path: Path) -> list[tuple[Entry, Reader]]:
        """Return the readers that know a file by its content."""
        found = []
        for entry, reader in self._readers if path.is_file() else ():
            with reading(path), self._kept_apart(entry):
                if getattr(reader, "claims", lambda _: False)(path):
                    found.append((entry, reader))
        return found

    @contextmanager
    def _kept_apart(self, entry: Entry) -> Iterator[None]:
        """Let what another's reader does to files that may not be its own fail on its own."""
        try:
            yield
        except BaseException as error:
            if (
                entry.plugin.distribution == OWN
                or isinstance(error, UserError)
                or not is_failure(error)
            ):
                raise
            self._broken.append(f"{entry.name} ({one_line(error)})")

    def _only(self, path: Path, found: Sequence[tuple[Entry, Reader]]) -> tuple[Entry, Reader]:
        if len(found) > 1:
            names = [f"{entry.plugin.name}/{entry.name}" for entry, _ in found]
            raise PluginError(
                f"{' and '.join(names)} both read {path.name}: "
                f"set MEMTK_DISABLE_PLUGINS={found[0][0].plugin.name} or the other"
            )
        return found[0]


@contextmanager
def reading(path: Path, item: str = "") -> Iterator[None]:
    """Turn any failure in the block into a `UserError` of one line that names `path`.

    Args:
        path: what is read.
        item: which image of it.
    """
    where = f"{path} ({item})" if item else f"{path}"
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"cannot read {where}: there is no such file") from error
    except PermissionError as error:
        raise UserError(f"cannot read {where}: no permission") from error
    except MemoryError as error:
        raise UserError(f"cannot read {where}: its header claims more voxels than fit") from error
    except BaseException as error:
        if not is_failure(error):
            raise
        text = re.sub(r"\s+", " ", str(error)).strip()
        for pattern, way in DECODERS:
            if found := re.search(pattern, text):
                raise UserError(
                    f"cannot read {where}: it needs a decoder that is not installed "
                    f"({found.group(1)}): {way}"
                ) from error
        if what := what_it_is(path):
            raise UserError(f"cannot read {where}: {what}") from error
        # Only the first sentence: those after it tell programmers what to pass.
        reason = text.replace(str(path), path.name).split(". ")[0][:100].rstrip(".")
        raise UserError(
            f"cannot read {where}: it is damaged, or not what its name says "
            f"({reason or type(error).__name__})"
        ) from error
    finally:
        restore()


def check_regular(path: Path) -> None:
    """Refuse what is no plain file or folder: reading a pipe or a device may never end.

    Raises:
        UserError: naming it, and a link to nothing.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            raise UserError(f"cannot read {path}: it is a link to nothing") from error
        with reading(path):
            raise
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"cannot read {path}: it is no plain file (a pipe, a device or a socket)")


def check_size(path: Path, shape: Sequence[int], itemsize: int, rows: int = 1) -> None:
    """Refuse a header that claims more than a file of its size, or an image, can hold.

    Args:
        path: the file, on the disk.
        shape: of one image, channels included.
        itemsize: bytes of a voxel.
        rows: images of this shape in the file.

    Raises:
        UserError: naming the file and the claim.
    """
    size, count = path.stat().st_size, math.prod(int(n) for n in shape)  # no wrapping around
    total, claim = count * int(rows) * itemsize, " x ".join(map(str, shape))
    if count > MOST_VOXELS:
        raise UserError(
            f"cannot read {path}: an image of {claim} voxels is more than memtk takes "
            f"({MOST_VOXELS:,}): crop or resample it"
        )
    most = max(ROWS, size)  # not one image takes less than a byte
    if total > max(FLOOR, GROWTH * size) or rows > most or min((*shape, rows, 0)) < 0:
        raise UserError(
            f"cannot read {path}: its header claims {rows} x {claim} values, {total / 1e9:.3g} GB, "
            f"and the file has {size:,} bytes"
        )


def check_scans(path: Path, data: IO[bytes]) -> None:
    """Refuse a JPEG of more scans than pictures have, up to its end.

    Raises:
        UserError: naming the file.
    """
    scans, before = 0, b""
    while (block := data.read(1 << 20)) and b"\xff\xd9" not in before:
        before = before[-1:] + block
        scans += before.count(b"\xff\xda")
        if scans > SCANS:
            raise UserError(
                f"cannot read {path}: its JPEG has more than {SCANS} scans, and a picture about "
                "ten: save it anew"
            )


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return the shape of a .npy array, whether it is in Fortran's order, and its type.

    Raises:
        ValueError: if what `stream` gives is none.
    """
    lib, old = np.lib.format, np.lib.format.read_magic(stream) == (1, 0)
    return (lib.read_array_header_1_0 if old else lib.read_array_header_2_0)(stream)


def _without_flat_axis(volume: Volume, record: Record) -> Volume:
    """Turn a volume that is one voxel deep into the picture that it is."""
    shape = volume.voxels.shape[1:]
    flat = [axis for axis, size in enumerate(shape) if size == 1]
    if len(shape) == 3 and len(flat) == 1:
        spacing = tuple(s for axis, s in enumerate(volume.spacing) if axis != flat[0])
        return replace(
            volume, voxels=volume.voxels.squeeze(flat[0] + 1), spacing=spacing, affine=None
        )
    if flat or 0 in shape:
        size = " x ".join(map(str, shape))
        raise UserError(f"cannot read {_where(record)}: {size} voxels are no image")
    return volume


def _where(record: Record) -> str:
    return f"{record.path} ({record.item})" if record.item else str(record.path)
