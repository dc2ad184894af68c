"""What readers give, looked at before it is used: theirs is code of plugins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from memtk.imaging.geometry import MOST_VOXELS
from memtk.interfaces import Record, Volume

MOST_RECORDS = 5_000_000
"""Images that a reader may list in a file or folder."""


def listed_records(records: Iterable[Record]) -> list[Record]:
    """Return what a reader lists, with one more than may be where there is no end."""
    return list(islice(records, MOST_RECORDS + 1))


def no_records(records: Sequence[object], path: Path) -> str:
    """Say what a reader lists of a file or folder that is no image of it, "" if nothing."""
    if len(records) > MOST_RECORDS:
        return f"more than {MOST_RECORDS:,} images"
    for record in records:
        if not isinstance(record, Record):
            return f"a {type(record).__name__}, not a Record"
        if not isinstance(record.path, Path):
            return f"a Record whose path is a {type(record.path).__name__}, not a Path"
        for field in ("item", "patient", "left_out"):
            if not isinstance(value := getattr(record, field), str):
                return f"a Record whose {field} is a {type(value).__name__}, not a text"
        if path != record.path and path not in record.path.parents:
            return f"{record.path.name}, which is not in it"
    twice = [one for one, count in Counter(map(_image, records)).items() if count > 1]
    return f"{' '.join(map(str, twice[0])).strip()} twice" if twice else ""


def _image(record: Any) -> tuple[str, str]:
    return record.path.name, record.item


def no_volume(volume: Volume) -> str:
    """Say what of a volume that a reader gives is none, "" if nothing."""
    voxels, affine = volume.voxels, volume.affine
    if voxels.ndim not in (3, 4) or voxels.dtype.kind not in "biuf":
        return f"voxels of {voxels.dtype} and shape {voxels.shape}"
    if isinstance(voxels, np.ma.MaskedArray):
        return "a masked array: what it hides would count"
    if voxels.size > MOST_VOXELS:
        return f"{voxels.size:,} voxels, and memtk takes {MOST_VOXELS:,}"
    if len(volume.spacing) != voxels.ndim - 1:
        return f"{len(volume.spacing)} sizes of a voxel for {voxels.ndim - 1} axes"
    if affine is not None and (np.shape(affine) != (4, 4) or not np.isfinite(affine).all()):
        return "an affine that is no finite matrix of 4 x 4"
    if affine is not None and not np.linalg.det(np.asarray(affine)[:3, :3]):
        return "an affine in which an axis has no direction of its own"
    return ""
