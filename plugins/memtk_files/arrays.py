"""NumPy files: arrays that hold one image, or many images, one a row."""

from __future__ import annotations

import contextlib
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from memtk import UserError
from memtk.data.labels import DESCRIBING, array_names_no_image, words_of
from memtk.data.patients import patient_name
from memtk.data.readers import check_size, npy_header
from memtk.imaging.geometry import (
    CHANNELS,
    EXPECTED,
    as_image,
    holds_many,
    layout_of,
    rows_of,
)
from memtk.interfaces import Record, Volume

STACKS = (
    *("train_images", "val_images", "valid_images", "validation_images", "test_images"),
    *("train", "val", "valid", "validation", "test", "images"),
)
"""Names of arrays that hold one image a row."""

BESIDE = "arrays beside those that hold images (images, train_images and the like)"
"""Why an array of a file with `STACKS` is left out."""

SEVERAL = 100
"""Of so many arrays of a file that has no `STACKS` the headers are read when it is listed."""

PATIENTS = frozenset({"patient", "patients", "subject", "subjects", "pid", "pids"})
AROUND = frozenset({"id", "ids", "name", "names", "number", "numbers", "index"})
"""Words of the names of arrays that say whose the image of each row is, and words beside them."""

SETS = frozenset({"train", "test", "val", "valid", "validation", "images", "imgs", "samples"})
"""Words of the names of arrays that are no single volume."""

SLICES = frozenset({"slice", "slices", "z", "position", "positions", "locations", "times"})
"""Words of the names of arrays with a number for each slice of a volume."""

UNNAMED = "arr_0"
"""What NumPy calls an array that was saved without a name."""

LETTERS = 1_000
"""So long the name of an array may be: names are looked through for patients."""

WAY_OUT = (
    "for many images in one file, or one of few slices, (1, 1, D, H, W), call their array images: "
    "np.savez(file, images=array)"
)


class NumpyReader:
    """Reads `.npy` and `.npz`. Pickled objects are refused: loading them runs code.

    A `.npy` holds one image, see `imaging.geometry`; a first axis of 1 counts it. A `.npz` with
    an array called `train_images`, `val_images`, `test_images` (MedMNIST), `train`, `val`, `test`
    or `images` holds one image a row of those, and so does one whose only array has no name and
    four axes or more that can be no channels of one volume; its other arrays (labels) are left out.
    One without such an array holds one image an array; those that are named like labels or tables
    are left out, and so are members that are no arrays.
    Rows are read one by one; only arrays in Fortran's order are whole in memory. The spacing is 1.
    """

    suffixes = (".npy", ".npz")

    def __init__(self) -> None:
        self._archive: zipfile.ZipFile | None = None
        self._member: _Member | None = None
        self._scattered: tuple[Path, str, np.ndarray] | None = None

    def records(self, path: Path) -> Sequence[Record]:
        """List the images of a file.

        Raises:
            UserError: if the file holds no images.
        """
        if path.name.lower().endswith(".npy"):
            return [Record(path)]
        with zipfile.ZipFile(path) as file:
            members = [name for name in file.namelist() if not name.endswith("/")]
        if twice := [name for name, count in Counter(members).items() if count > 1]:
            raise UserError(f"{path} holds {twice[0][:100]} twice: write it anew by np.savez")
        if any(len(name) > LETTERS for name in members):
            raise UserError(
                f"cannot read {path}: the name of one of its arrays has more than {LETTERS:,} "
                "letters: write it anew by np.savez"
            )
        names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
        stacks = [name for name in STACKS if name in names]
        if names == [UNNAMED] and holds_many((_headers(path, names)[UNNAMED] or ((), ""))[0]):
            stacks = [UNNAMED]
        records: list[Record] = []
        for name in stacks:
            with contextlib.closing(_open(path, name)) as member:
                check_stack(path, name, member.shape, member.dtype)
            whose = _patients(path, name_of_patients(names, name), member.shape[0])
            records += [Record(path, f"{name}/{row}", who) for row, who in enumerate(whose)]
        if not stacks:
            records = _one_each(path, names)
        if not records:
            raise UserError(f"{path} holds no images")
        beside = [Record(path, n, left_out=BESIDE) for n in names if stacks and n not in stacks]
        odd = [name for name in members if not name.endswith(".npy")]
        return records + beside + [Record(path, n, left_out="members of no arrays") for n in odd]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the array is no image, or its header claims more than the file holds.
        """
        path, item = record.path, record.item
        name, row = split_item(item)
        array = self._row(path, name, row) if row is not None else self._load(path, item)
        what = f"cannot read {path}" + (f" ({item})" if item else "")
        if row is None:
            shape = array.shape
            array = array[0] if array.ndim > 2 and shape[0] == 1 else array
            if array.ndim == 3 and not item and _names_a_set(path.stem):
                raise UserError(f"{what}: {shape} holds many images, by its name; {WAY_OUT}")
            if array.ndim > 1 and (holds_many(array.shape) or not layout_of(array.shape)):
                raise UserError(
                    f"{what}: an array of {array.dtype} and shape {shape} is no image; expected "
                    f"{EXPECTED}; {WAY_OUT}"
                )
        voxels = as_image(array, what)
        return Volume(voxels, (1.0,) * (voxels.ndim - 1))

    def _load(self, path: Path, name: str) -> np.ndarray:
        """Load an array; the last .npz stays open: the list of its arrays may be long."""
        if name and (self._archive is None or self._archive.filename != str(path)):
            self._archive = zipfile.ZipFile(path)
        return _load(path, name, self._archive if name else None)

    def _row(self, path: Path, name: str, row: int) -> np.ndarray:
        member = self._member
        if member is None or (member.path, member.name) != (path, name):
            if member is not None:
                member.close()
            member = self._member = _open(path, name)
            self._scattered = None
        if member.fortran:  # rows are scattered over the file
            if self._scattered is None:
                self._scattered = path, name, _load(path, name)
            return np.asarray(self._scattered[2][row])
        size = int(np.prod(member.shape[1:], dtype=object)) * member.dtype.itemsize
        member.stream.seek(member.offset + row * size)
        data = member.stream.read(size)
        if len(data) < size:
            raise UserError(f"cannot read {path}: {name} ends before row {row}")
        return np.frombuffer(data, member.dtype).reshape(member.shape[1:])


def split_item(item: str) -> tuple[str, int | None]:
    """Take `"train_images/12"` apart; an array that is one image has no row.

    >>> split_item("train_images/12"), split_item("scan")
    (('train_images', 12), ('scan', None))
    """
    name, _, row = item.rpartition("/")
    return (name, int(row)) if name and row.isdecimal() else (item, None)


def name_of_patients(names: Sequence[str], stack: str) -> str:
    """Return which array says whose the rows of a stack are, "" if none.

    >>> name_of_patients(["patient_age", "patient_ids"], "images")
    'patient_ids'
    >>> name_of_patients(["val_patient", "train_patient"], "train_images")
    'train_patient'
    """
    split = {*words_of(stack)} - {"images"}
    said = {name: {*words_of(name)} - AROUND for name in names}
    return next((n for n, words in said.items() if words - split <= PATIENTS and split < words), "")


def _patients(path: Path, name: str, count: int) -> list[str]:
    """Return whose each row of a stack is by an array of a .npz, "" where there is none."""
    if not name:
        return [""] * count
    with contextlib.closing(_open(path, name, objects=True)) as member:
        check_patients(path, name, member.shape, count, named=member.dtype.kind in "biufSU")
    return names_of(_load(path, name).ravel())


def check_patients(path: Path, name: str, shape: Sequence[int], count: int, *, named: bool) -> None:
    """Refuse an array that is to say whose the rows of a stack are, and does not.

    Raises:
        UserError: if it has not a name a row, or holds neither texts nor numbers (`named`).
    """
    if not named or tuple(shape) not in ((count,), (count, 1)):
        why = f"has the shape {tuple(shape)} beside {count} images" if named else "is no text"
        raise UserError(
            f"cannot read {path}: {name}, which says whose the images are, {why}: give one name an "
            f"image, {name}=names.astype(str), or leave it out"
        )


def names_of(values: np.ndarray) -> list[str]:
    """Return names of patients; "patient 0" for 0, which in a header alone would name nobody."""
    names = [patient_name(each) for each in values]
    return [f"patient {name}" if name.isdecimal() else name for name in names]


def _one_each(path: Path, names: Sequence[str]) -> list[Record]:
    """List arrays that are an image each, and those beside them that are none.

    Raises:
        UserError: if one holds as many images as one that is named like labels says.
    """
    why = {name: array_names_no_image(name) for name in names}
    headers = _headers(path, names[:SEVERAL])
    images = {n: h for n, h in headers.items() if h and not why[n] and layout_of(h[0])}
    says = {
        h[0][0]: f"as {n} says"
        for n, h in headers.items()
        if h and h[0][:1] > (1,) and h[0][1:] in ((), (1,))
        if why[n] or n.startswith("arr_") or not (h[0][0] <= CHANNELS or SLICES & {*words_of(n)})
    }
    for name, (shape, _) in images.items():
        many = says.get(shape[0], "by its name" if _names_a_set(name) else "")
        if len(shape) > 2 and many:
            raise UserError(
                f"cannot read {path}: {name} {shape} holds many images, {many}; {WAY_OUT}"
            )
    for name in names if images else ():
        shape, kind = headers.get(name) or ((), "O")
        if name in headers and (kind not in "biuf" or len(shape) < 2 or max(shape) <= CHANNELS):
            why[name] = why[name] or DESCRIBING
    return [Record(path, name, left_out=why[name]) for name in names]


def _names_a_set(name: str) -> bool:
    """Tell whether a name without numbers says that there are many images: X_train, samples."""
    return bool(SETS & {*words_of(name)}) and not any(map(str.isdigit, name))


def _headers(path: Path, names: Sequence[str]) -> dict[str, tuple[tuple[int, ...], str] | None]:
    """Return shape and kind of numbers of arrays, by name; None where a header cannot be read."""
    found: dict[str, tuple[tuple[int, ...], str] | None] = dict.fromkeys(names)
    with zipfile.ZipFile(path) as file:  # once: it may list many
        for name in names:
            with contextlib.suppress(Exception), file.open(f"{name}.npy") as stream:
                shape, _, dtype = npy_header(stream)
                found[name] = shape, dtype.kind
    return found


def check_stack(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an array that is no stack of images, or claims more of them than the file holds."""
    if dtype.kind not in "biuf":
        raise UserError(f"cannot read {path}: {name} holds {dtype}, not numbers")
    rows_of(shape, f"cannot read {path}: {name}")
    check_size(path, shape[1:], dtype.itemsize, rows=shape[0])


@dataclass
class _Member:
    """An array inside a .npz file, open for reading row by row."""

    path: Path
    name: str
    stream: IO[bytes]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    def close(self) -> None:
        self.stream.close()


def _load(path: Path, name: str = "", file: zipfile.ZipFile | None = None) -> np.ndarray:
    """Load a .npy file, or an array of a .npz file, which may be open."""
    with contextlib.closing(_open(path, name, file)) as member:
        check_size(path, member.shape, member.dtype.itemsize)
        member.stream.seek(0)
        array = np.asarray(np.lib.format.read_array(member.stream, allow_pickle=False))
        if member.stream.read(1):
            raise UserError(
                f"cannot read {path}: it holds more than one array: save them by np.savez"
            )
        return array


def _open(
    path: Path, name: str, file: zipfile.ZipFile | None = None, *, objects: bool = False
) -> _Member:
    """Open a .npy file, or an array of a .npz file, and read its header."""
    if name:
        with contextlib.nullcontext(file) if file else zipfile.ZipFile(path) as opened:
            stream = opened.open(f"{name}.npy")  # keeps the file open until it is closed itself
    else:
        stream = path.open("rb")
    try:
        shape, fortran, dtype = npy_header(stream)
        if dtype.hasobject and not objects:
            raise UserError(
                f"cannot read {path}: it holds pickled objects; memtk loads numbers alone: "
                "np.savez('a.npz', images=np.stack(list_of_arrays))"
            )
        return _Member(path, name, stream, stream.tell(), shape, dtype, fortran)
    except BaseException:
        stream.close()
        raise
