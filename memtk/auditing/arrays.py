"""Reads embeddings that somebody else's embedder made, as untrusted input."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtk.data.readers import check_regular, check_size, npy_header
from memtk.errors import UserError, did_you_mean, many, one_line

SETS = {"train": "training", "validation": "validation", "synthetic": "synthetic"}
"""The arrays (N, D), (V, D), (M, D) that a file must hold, and what they are called in memtk."""

LARGEST = 1e15
"""Squares of much larger numbers, summed up, are beyond what float32 holds."""

OPTIONAL = (
    *("train_patient", "validation_patient", "train_id", "validation_id", "synthetic_id"),
    *("train_stratum", "validation_stratum"),
    *("planted", "planted_source"),
)
"""Further arrays: patients and names of the rows, and embeddings (K, D) of planted copies with the
rows of `train` (K,) that they were made from."""


@dataclass(frozen=True)
class GivenEmbeddings:
    """Embeddings of training, validation and synthetic images that somebody else's embedder made.

    Args:
        sets: "training", "validation" and "synthetic" embeddings, (n, D).
        labels: the optional arrays that are there.
        digest: that changes when the content does.
        name: where they come from, for messages.
    """

    sets: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    digest: str
    name: str

    def texts(self, name: str) -> tuple[str, ...]:
        """Return an optional array as texts; empty if it is not there."""
        return _texts(self.labels.get(name, np.zeros(0)))


def _texts(values: np.ndarray) -> tuple[str, ...]:
    """Return names as texts; the patient 7 is the same whether it was stored as 7 or as 7.0.

    >>> _texts(np.array([7.0, 8.0])), _texts(np.array(["a"]))
    (('7', '8'), ('a',))
    """
    return tuple(
        str(v).removesuffix(".0") if isinstance(v, float) else str(v) for v in values.tolist()
    )


def read_embeddings(path: Path) -> GivenEmbeddings:
    """Read a NumPy archive (.npz). Nothing in it is executed.

    Raises:
        UserError: naming the file, for what is missing, of a wrong shape, or not finite.
    """
    try:
        check_regular(Path(path))
        with zipfile.ZipFile(path) as file:
            names = [name.removesuffix(".npy") for name in file.namelist()]
            _check_names(str(path), names)
            arrays = {name: _array(Path(path), file, name) for name in names}
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except Exception as error:  # whatever zipfile and NumPy stumble over
        if "Object arrays" in str(error):
            raise UserError(
                f"{path} holds pickled objects, which are not loaded: save names as text, "
                "names.astype(str), and numbers as numbers"
            ) from error
        raise UserError(
            f"{path} cannot be read as a NumPy archive of plain arrays (np.savez): "
            f"{one_line(error)[:200]}"
        ) from error
    return checked_embeddings(arrays, str(path))


def checked_embeddings(arrays: Mapping[str, np.ndarray], name: str) -> GivenEmbeddings:
    """Return arrays as the embeddings of an audit.

    Args:
        arrays: `SETS` and `OPTIONAL`.
        name: where they come from, for messages.

    Raises:
        UserError: for what is missing, of a wrong shape, or not finite.
    """
    path = name
    _check_names(path, arrays)
    missing = [array for array in SETS if array not in arrays]
    if missing:
        raise UserError(
            f"{path} has no array {', '.join(missing)}: it holds {', '.join(arrays) or 'none'}, "
            "and train (N, D), validation (V, D) and synthetic (M, D) are needed"
        )
    _check(path, arrays)
    digest = hashlib.sha256()
    for array in sorted(arrays):
        digest.update(f"{array}{arrays[array].shape}{arrays[array].dtype}".encode())
        digest.update(np.ascontiguousarray(arrays[array]).tobytes())
    return GivenEmbeddings(
        {ours: arrays[theirs] for theirs, ours in SETS.items()},
        {array: arrays[array] for array in OPTIONAL if array in arrays},
        digest.hexdigest()[:32],
        name,
    )


def _array(path: Path, file: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array of an archive, if the archive can hold what its header claims."""
    with file.open(f"{name}.npy") as stream:
        shape, _, dtype = npy_header(stream)
    check_size(path, shape[1:], dtype.itemsize, rows=shape[0] if shape else 1)
    with file.open(f"{name}.npy") as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _check_names(path: str, names: Iterable[str]) -> None:
    known = [*SETS, *OPTIONAL]
    for name in names:
        if name not in known:
            near = did_you_mean(name[:40], known)
            raise UserError(
                f"{path}: unknown array {name[:40]!r}; known are {', '.join(known)}.{near}"
            )


def _check(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    widths = {}
    for name in (*SETS, "planted"):
        rows = arrays.get(name)
        if rows is None:
            continue
        if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
            raise UserError(
                f"{path}: {name} has the shape {rows.shape} of {rows.dtype}; a row of numbers for "
                "each image is needed, (images, D)"
            )
        widths[name] = rows.shape[1]
        bad = ~(np.abs(rows) <= LARGEST).all(axis=1)  # nor is NaN
        if bad.any():
            raise UserError(
                f"{path}: row {int(np.argmax(bad))} of {name} holds NaN, infinite values or "
                f"numbers beyond {LARGEST:g} ({many(int(bad.sum()), 'such row')})"
            )
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise UserError(f"{path}: the embeddings differ in width ({shown}): use one embedder")
    for name in OPTIONAL:
        if name == "planted" or name not in arrays:
            continue
        whose = "planted" if name == "planted_source" else name.rpartition("_")[0]
        if whose not in arrays or arrays[name].shape != arrays[whose].shape[:1]:
            need = f"{len(arrays[whose])} are needed" if whose in arrays else f"{whose} is missing"
            raise UserError(f"{path}: {name} has the shape {arrays[name].shape}: {need}")
    if "planted" in arrays:
        rows = arrays.get("planted_source")
        count = len(arrays["train"])
        if rows is None or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= count:
            raise UserError(
                f"{path}: planted needs planted_source, for each row the row of train (0 to "
                f"{count - 1}) that was copied"
            )
        if not (arrays["planted"] != arrays["train"][rows]).any():
            raise UserError(
                f"{path}: every row of planted equals the row of train that it was made from. Such "
                "copies are always found: embed images that were changed (turned, blurred, ...)"
            )
    none = np.zeros(0)
    train, strangers = (arrays.get(f"{name}_patient", none) for name in ("train", "validation"))
    shared = set(_texts(train)) & set(_texts(strangers))
    if shared:
        raise UserError(
            f"{path}: {many(len(shared), 'patient', 'is/are')} in train and in validation. "
            "Then a copy cannot be "
            "told from another image of the same patient: put each patient into one of them."
        )
    for name, people in (("train", train), ("validation", strangers)):
        if twins := _twins(arrays[name], people):
            raise UserError(
                f"{path}: of {name} {many(twins, 'embedding', 'equals/equal')} that of another "
                "patient. One image under two names counts twice, and hides copies: keep one of "
                "them, or give both the same patient."
            )
    for name, other in (("train", "validation"), ("synthetic", "validation")):
        if same := len(rows_of(arrays[name]) & rows_of(arrays[other])):
            raise UserError(
                f"{path}: of {name} {many(same, 'embedding', 'equals/equal')} one of {other}. One "
                "image on both sides of a comparison hides copies: leave it out of one."
            )


def _twins(rows: np.ndarray, patients: np.ndarray) -> int:
    """Return how many rows (N, D) equal one before them of another patient; 0 if all are equal.

    Args:
        patients: whose each row is, (N,), or (0,): each is another's.
    """
    people = _texts(patients) if len(patients) else [str(i) for i in range(len(rows))]
    first: dict[bytes, str] = {}
    twins = sum(
        first.setdefault(row.tobytes(), patient) != patient
        for row, patient in zip(np.ascontiguousarray(rows), people, strict=True)
    )
    return twins if len(first) > 1 else 0


def rows_of(array: np.ndarray) -> set[bytes]:
    """Return the rows of an array as what can be compared exactly."""
    return {row.tobytes() for row in np.ascontiguousarray(array)}
