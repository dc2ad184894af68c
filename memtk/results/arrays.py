"""Raw arrays of a cell in HDF5, so that a new measure needs no new run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memtk.errors import UserError
from memtk.files import replacing, require_space

if TYPE_CHECKING:
    import numpy as np


def write_arrays(path: Path, group: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a group of a file, in place of one of that name; other groups stay.

    The file is written anew and renamed, so that it is never seen half written, and every array
    has a checksum.

    Args:
        path: the HDF5 file, made if it is missing.
        group: its name ("step-000900").
        arrays: by name.

    Raises:
        UserError: if the file that is there is damaged, or cannot be written, naming it.
    """
    import h5py

    path = Path(path)
    there = path.stat().st_size if path.exists() else 0
    with replacing(path) as temporary:
        require_space(temporary, there + sum(array.nbytes for array in arrays.values()))
        with h5py.File(temporary, "w") as new:
            if path.exists():
                with _open(path) as old:
                    for name in old:
                        if name != group:
                            old.copy(name, new)
            target = new.create_group(group)
            for name, array in arrays.items():
                checked = array.ndim > 0 and array.size > 0
                target.create_dataset(name, data=array, fletcher32=checked)


def read_arrays(path: Path, group: str) -> dict[str, np.ndarray]:
    """Return the arrays of a group by name.

    Raises:
        UserError: if the file is missing or damaged or has no such group, naming it.
    """
    import h5py

    with _open(Path(path)) as file:
        found = file.get(group)
        if not isinstance(found, h5py.Group):
            raise UserError(f"{path} has no group {group!r}: it has {', '.join(file) or 'none'}")
        try:
            return {name: dataset[()] for name, dataset in found.items()}
        except (OSError, RuntimeError) as error:
            raise _damaged(Path(path)) from error


def has_arrays(path: Path, group: str) -> bool:
    """Tell whether a file is there and has a group.

    Raises:
        UserError: if the file is damaged, naming it.
    """
    if not Path(path).exists():
        return False
    with _open(Path(path)) as file:
        return group in file


def _open(path: Path):  # type: ignore[no-untyped-def]  # h5py is imported on first use
    import h5py

    if not path.exists():
        raise UserError(f"there is no {path}: the run has not come that far")
    try:
        return h5py.File(path, "r", locking=False)  # written whole, never changed
    except OSError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged: delete it and run the same command again")
