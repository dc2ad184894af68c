"""Sets of images in memory and in HDF5 files, read piece by piece; which of them are the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from memtk.data.conditions import from_description
from memtk.data.image_files import (
    create_images,
    damaged,
    find_images,
    open_prepared,
    texts_of,
)
from memtk.data.originals import Originals
from memtk.data.packed import PackedImage, read_packed, reduced, unpacked, voxel_hash
from memtk.files import replacing
from memtk.interfaces import Images, ImageSpec


class MemoryImages:
    """Images that are held in memory.

    Args:
        x: float32 (N, C, *S) in [-1, 1].
        patients: of each image; empty where there are none.
        spacing: in millimetres.
        strata: of each image; empty where nothing tells groups of patients apart.
        conditions: what a conditional generator is told of each, (N, K); None without.
    """

    def __init__(
        self,
        x: Tensor,
        patients: Sequence[str] = (),
        spacing: tuple[float, ...] = (),
        strata: Sequence[str] = (),
        conditions: Tensor | None = None,
    ) -> None:
        self.conditions = conditions
        told = [] if conditions is None else conditions.tolist()
        for what, given in (("patients", patients), ("strata", strata), ("conditions", told)):
            if given and len(given) != len(x):
                raise ValueError(f"{len(x)} images, but {len(given)} {what}")
        self.x = x.detach().float().cpu()
        self.patients, self.strata = tuple(patients), tuple(strata)
        self.spec = ImageSpec(tuple(x.shape[2:]), int(x.shape[1]), spacing)

    def __len__(self) -> int:
        return len(self.x)

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`: float32 (B, C, *S)."""
        return self.x[torch.as_tensor(_checked(indices, len(self)))].clone()

    def subset(self, indices: Sequence[int]) -> MemoryImages:
        """Return some of the images, in the order of `indices`."""
        rows = _checked(indices, len(self))
        x, spacing = self.x[torch.as_tensor(rows)], self.spec.spacing
        told = None if self.conditions is None else self.conditions[torch.as_tensor(rows)]
        return MemoryImages(x, _some(self.patients, rows), spacing, _some(self.strata, rows), told)


class StoredImages:
    """Images in an HDF5 file that `write_images` or `prepare` made.

    The file is opened on the first read, once in each process; the object can be pickled.

    Args:
        path: the file.
        group: of the file in which the images lie ("training"), "" for its root.

    Attributes:
        indices: int64 (N,), the rows of the file that these images are.
        patients: of each image; empty where there are none.
        strata: of each image, the value of the column `data.stratify`; empty without.
        hashes: the `voxel_hash` of each, uint8 (N, 16); None where `prepare` did not write them.
        conditions: what a conditional generator is told of each, or was when it made them: codes of
            `spec.conditions`, float32 (N, K); None without.
        kept_shape: (*s) of the images in the file. Where that is not their shape, they were reduced
            (see `prepare`), and `read` reads whole ones from the files that they came from.

    Raises:
        UserError: if the file is missing or damaged, naming it.
    """

    def __init__(self, path: Path, group: str = "") -> None:
        self.path, self.group = Path(path), group
        self._opened: tuple[h5py.File, h5py.Dataset, h5py.Dataset | None] | None = None
        self._owner = -1
        with open_prepared(self.path) as file:
            dataset = find_images(file, group, self.path)
            spacing = tuple(float(value) for value in dataset.attrs["spacing"])
            told = from_description(json.loads(dataset.attrs.get("conditions", "[]")))
            self.kept_shape = tuple(dataset.shape[2:])
            shape = tuple(int(n) for n in dataset.attrs.get("whole", self.kept_shape))
            self.spec = ImageSpec(shape, dataset.shape[1], spacing, told)
            self._originals: Originals | None = None
            self.indices: np.ndarray = np.arange(dataset.shape[0])
            self.patients = texts_of(dataset.parent, "patients")
            self.strata = texts_of(dataset.parent, "strata")
            hashes = dataset.parent.get("digests")
            self.hashes: np.ndarray | None = None if hashes is None else hashes[:]
            self.conditions: Tensor | None = None
            if told:
                self.conditions = torch.from_numpy(dataset.parent["conditions"][:])

    def __len__(self) -> int:
        return len(self.indices)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None, "_owner": -1}

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`, in any order, with repeats: float32 (B, C, *S).

        Raises:
            UserError: if the file has been damaged, naming it; or one that an image is read again
                from is gone or has changed.
        """
        rows = self.indices[_checked(indices, len(self))]
        if self.kept_shape == self.spec.shape:
            return self._kept(rows)
        found = torch.empty(len(rows), self.spec.channels, *self.spec.shape)
        for place, image in enumerate(self._in_files.images(rows.tolist())):
            found[place] = torch.from_numpy(image.voxels())
        return found

    def read_reduced(self, indices: Sequence[int], shape: Sequence[int]) -> Tensor:
        """Return the images at `indices`, reduced by averages: float32 (B, C, *shape).

        One whole image is in memory at a time; none where the file holds them of this shape.
        """
        rows = self.indices[_checked(indices, len(self))]
        if self.kept_shape == tuple(shape):
            return self._kept(rows)
        whole: Iterator[PackedImage]
        if self.kept_shape == self.spec.shape:
            dataset, values = self._datasets()
            whole = (read_packed(dataset, values, row) for row in rows)
        else:
            whole = self._in_files.images(rows.tolist())
        found = torch.empty(len(rows), self.spec.channels, *shape)
        with self._explained():
            for place, image in enumerate(whole):
                found[place] = torch.from_numpy(reduced(image, shape))
        return found

    def _kept(self, rows: np.ndarray) -> Tensor:
        unique, inverse = np.unique(rows, return_inverse=True)
        found = np.empty((len(unique), self.spec.channels, *self.kept_shape), dtype=np.float32)
        # HDF5 is fast on runs of rows and slow on lists of them.
        edges = [0, *(np.flatnonzero(np.diff(unique) != 1) + 1).tolist(), len(unique)]
        dataset, values = self._datasets()
        with self._explained():
            for start, stop in zip(edges[:-1], edges[1:], strict=True):
                if start < stop:
                    where = slice(unique[start], unique[stop - 1] + 1)
                    found[start:stop] = unpacked(dataset, values, where)
        return torch.from_numpy(found[inverse])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise damaged(self.path) from error

    @property
    def _in_files(self) -> Originals:
        if self._originals is None:
            whole = (self.spec.channels, *self.spec.shape)
            self._originals = Originals(self.path, self.group, whole)
        return self._originals

    def subset(self, indices: Sequence[int]) -> StoredImages:
        """Return some of the images, in the order of `indices`; the file is shared."""
        rows = _checked(indices, len(self))
        part = object.__new__(StoredImages)
        part.__dict__.update(self.__getstate__())
        part.indices = self.indices[rows]
        part.patients, part.strata = _some(self.patients, rows), _some(self.strata, rows)
        if self.conditions is not None:
            part.conditions = self.conditions[torch.as_tensor(rows)]
        part.hashes = None if self.hashes is None else self.hashes[rows]
        return part

    def _datasets(self) -> tuple[h5py.Dataset, h5py.Dataset | None]:
        if self._opened is None or self._owner != os.getpid():  # a handle does not survive a fork
            file = open_prepared(self.path)
            dataset = find_images(file, self.group, self.path)
            values = dataset.parent.get("values") if dataset.dtype.kind == "u" else None
            self._opened, self._owner = (file, dataset, values), os.getpid()
        return self._opened[1:]


class ReducedImages:
    """Images that are reduced by averages, where no file has them so: one is whole in memory.

    Args:
        images: (N, C, *S).
        shape: (*s) that they are reduced to.

    Attributes:
        whole_shape: (*S) that they are reduced from.
    """

    def __init__(self, images: Images, shape: Sequence[int]) -> None:
        self._images, self._shape = images, tuple(shape)
        self.whole_shape = images.spec.shape

    @property
    def patients(self) -> Sequence[str]:
        """The patient of each image, (N,); () where they are not known."""
        found: Sequence[str] = getattr(self._images, "patients", ())
        return found

    @property
    def spec(self) -> ImageSpec:
        """Shape of each image."""
        whole = self._images.spec
        sizes = zip(whole.spacing, whole.shape, self._shape, strict=False)
        spacing = tuple(size * old / new for size, old, new in sizes)
        return replace(whole, shape=self._shape, spacing=spacing)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`: float32 (B, C, *s)."""
        if isinstance(self._images, StoredImages):
            return self._images.read_reduced(indices, self._shape)
        found = torch.empty(len(indices), self.spec.channels, *self._shape)
        for row, index in enumerate(indices):
            x = self._images.read([index])
            found[row] = F.interpolate(x, list(self._shape), mode="area")[0]
        return found


class FlatImages:
    """Images as flat rows (N, C*S), read slice by slice: what a search by voxels goes over.

    Args:
        images: (N, C, *S).
    """

    def __init__(self, images: Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, where: slice) -> np.ndarray:
        rows = range(*where.indices(len(self)))
        flat: np.ndarray = self._images.read(rows).flatten(1).numpy()  # (B, C*S)
        return flat


def identical_images(real: Images, tested: Images) -> np.ndarray:
    """Return which of the tested images have exactly the voxels of a real one: bool (M,).

    This is the one decision of "the same voxels": as float32 in [-1, 1], all of them equal.

    Args:
        real: (N, C, *S).
        tested: (M, C, *S).
    """
    known = set(_hashes(real))
    return np.fromiter((each in known for each in _hashes(tested)), dtype=bool, count=len(tested))


def _hashes(images: Images) -> Iterator[bytes]:
    """Yield the hash of each image; the voxels are read where no file says it."""
    kept: np.ndarray | None = getattr(images, "hashes", None)
    for row in range(len(images)):
        yield voxel_hash(images.read([row])[0].numpy()) if kept is None else kept[row].tobytes()


def write_images(
    path: Path,
    batches: Iterable[Tensor],
    count: int,
    spec: ImageSpec,
    conditions: Tensor | None = None,
) -> StoredImages:
    """Write images to a file, batch by batch, whole or not at all, and open it.

    Args:
        path: an HDF5 file.
        batches: tensors (B, C, *S) in [-1, 1], `count` images in all.
        spec: their shape.
        conditions: what they were made to be, (count, K), by `spec.conditions`; None: nothing.

    Raises:
        ValueError: if the batches hold another number or shape of images.
        UserError: if the file cannot be written.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        if conditions is None:
            spec = replace(spec, conditions=())
        dataset = create_images(file, count, spec)
        if conditions is not None:
            file["conditions"][:] = conditions.numpy()
        done = 0
        for batch in batches:
            if done + len(batch) > count or tuple(batch.shape[1:]) != dataset.shape[1:]:
                raise ValueError(
                    f"images {done} to {done + len(batch)} of shape {tuple(batch.shape[1:])}: "
                    f"expected {count} of {dataset.shape[1:]}"
                )
            dataset[done : done + len(batch)] = batch.detach().float().cpu().numpy()
            done += len(batch)
        if done != count:
            raise ValueError(f"expected {count} images, got {done}")
        dataset.attrs["complete"] = True
    return open_images(path)


def open_images(path: Path) -> StoredImages:
    """Open a file that `write_images` made.

    Raises:
        UserError: if it is missing or damaged, naming it.
    """
    return StoredImages(path)


def _some(texts: Sequence[str], rows: np.ndarray) -> tuple[str, ...]:
    return tuple(texts[row] for row in rows) if texts else ()


def _checked(indices: Sequence[int], count: int) -> np.ndarray:
    rows = np.asarray(indices, dtype=np.int64).reshape(-1)
    if rows.size and (rows.min() < 0 or rows.max() >= count):
        raise IndexError(f"indices {rows.min()} to {rows.max()}: there are {count} images")
    return rows
