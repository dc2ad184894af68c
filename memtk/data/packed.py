"""Prepared images in as many bits a voxel as their files have, in HDF5 files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F

from memtk.files import require_space
from memtk.imaging.intensity import count_codes

HASHED = 2**12
"""Most values of an image, one in four voxels, that is hashed by its codes: see `voxel_hash`."""

TOGETHER = 2**21
"""Bytes of images that are written at a time."""

PIECE = 2**15
"""Voxels that are looked up at a time: they stay in the cache."""


@dataclass(frozen=True)
class PackedImage:
    """A prepared image with as many bits a voxel as its file has, not a bit of it lost.

    Args:
        data: (C, *S), uint8 or uint16: which of the `values` each voxel has; float32 without them.
        values: float32 (K,) in [-1, 1], ascending, each of them somewhere in the image; None where
            the voxels are more than 2^16 different numbers, as after resampling.
        spacing: in millimetres.
        counts: how many voxels have each value, int64 (K,); None where nobody counted.
        digest: its `voxel_hash`; empty where it was not asked for.
    """

    data: np.ndarray
    values: np.ndarray | None
    spacing: tuple[float, ...]
    counts: np.ndarray | None = None
    digest: bytes = b""

    def voxels(self) -> np.ndarray:
        """Return the voxels, float32 (C, *S) in [-1, 1]."""
        return self.data if self.values is None else look_up(self.values, self.data)


def pack(
    codes: np.ndarray,
    values: np.ndarray,
    spacing: tuple[float, ...],
    counts: np.ndarray | None = None,
) -> PackedImage:
    """Pack an image whose values may be double, or nowhere in it.

    Args:
        codes: (C, *S), uint8 or uint16, in any order of memory.
        values: float32 (K,), ascending.
        spacing: see `PackedImage`.
        counts: of the codes, (K,); None: they are counted here.
    """
    counts = count_codes(codes, len(values)) if counts is None else counts
    there = values[counts > 0]
    kept = there[np.diff(there, prepend=np.float32(-np.inf)) > 0]
    place = kept.searchsorted(values).clip(max=len(kept) - 1)
    kind = np.dtype(np.uint8 if len(kept) <= 2**8 else np.uint16)
    low = int(place.searchsorted(0, side="right")) - 1
    if np.array_equal(place, (np.arange(len(place)) - low).clip(0, len(kept) - 1)):
        data = contiguous(codes)
        if len(kept) < len(place):
            ends = np.array([low, low + len(kept) - 1], data.dtype)
            into = np.empty_like(data) if data is codes else data
            data = np.clip(data, *ends, out=into)
            np.subtract(data, ends[0], out=data)
        data = data.astype(kind, copy=False)
    else:
        data = look_up(place.astype(kind), contiguous(codes))
    return PackedImage(data, kept, spacing, np.bincount(place, counts, len(kept)).astype(np.int64))


def contiguous(array: np.ndarray) -> np.ndarray:
    """Return an array in C order; one in Fortran's, as NIfTI has, several times as fast as NumPy.

    >>> contiguous(np.asfortranarray(np.arange(6).reshape(2, 3))).flags.c_contiguous
    True
    """
    if array.flags.c_contiguous or array.ndim < 2:
        return array
    made = np.empty(array.shape, array.dtype)
    each = max(4, 16 // array.itemsize)
    for start in range(0, array.shape[-1], each):
        made[..., start : start + each] = array[..., start : start + each]
    return made


def look_up(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return `table[codes]`, several times as fast.

    Args:
        table: (K,).
        codes: unsigned, below K, in C order.
    """
    if table.dtype == codes.dtype == np.uint8:
        full = np.zeros(256, np.uint8)
        full[: len(table)] = table
        found = bytearray(codes.data).translate(full.tobytes())
        return np.frombuffer(found, np.uint8).reshape(codes.shape)
    made = np.empty(codes.shape, table.dtype)
    into, flat = made.reshape(-1), codes.reshape(-1)
    for start in range(0, flat.size, PIECE):
        piece = slice(start, start + PIECE)
        np.take(table, flat[piece], out=into[piece], mode="clip")
    return made


def reduced(image: PackedImage, shape: Sequence[int]) -> np.ndarray:
    """Return the image reduced to (*shape) by averages, float32 (C, *shape).

    Of evenly spaced values, as those of 8 bits are, whole numbers are summed, which is exact and
    takes a quarter of the time. Others go slab by slab along the first axis, where slabs of both
    sizes end together: to the same bits as all at once, and what becomes float stays in the cache.
    """
    stored, wanted = image.data.shape[1], shape[0]
    divided = not any(old % new for old, new in zip(image.data.shape[1:], shape, strict=True))
    sums = divided and image.values is not None and _are_even(image.values)
    each = stored // math.gcd(stored, wanted)  # planes that a slab must be a multiple of
    planes = each * max(1, (8 if sums else 4) * PIECE // (image.data[:, :each].size or 1))
    found = np.empty((len(image.data), *shape), np.float32)
    for start in range(0, stored, planes):
        slab = np.ascontiguousarray(image.data[:, start : start + planes])
        first, size = start * wanted // stored, slab.shape[1] * wanted // stored
        into = found[:, first : first + size]
        if sums and image.values is not None:
            into[:] = _means(slab, image.values, into.shape[1:])
            continue
        x = torch.from_numpy(slab if image.values is None else look_up(image.values, slab))
        into[:] = F.interpolate(x[None], into.shape[1:], mode="area")[0].numpy()
    return found


def _are_even(values: np.ndarray) -> bool:
    """Tell whether values (K,) are evenly spaced but for float32's own rounding."""
    even = np.linspace(float(values[0]), float(values[-1]), len(values))
    return bool(np.abs(values - even).max() <= 2**-24)


def _means(codes: np.ndarray, values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the means of evenly spaced values over blocks, float32 (C, *shape).

    Args:
        codes: (C, *S), S divided by the shape.
    """
    sums, most = codes, len(values) - 1
    if codes.dtype == np.uint8 and codes.shape[-1] // shape[-1] % 2 == 0:
        pairs = codes.view(np.uint16)
        sums, most = (pairs & 255) + (pairs >> 8), 2 * most
    for axis, new in enumerate(shape, 1):  # in a third of the time of sums over blocks
        each = sums.shape[axis] // new
        most *= each
        parts = [sums[(slice(None),) * axis + (slice(k, None, each),)] for k in range(each)]
        sums = parts[0].astype(np.promote_types(sums.dtype, np.min_scalar_type(most)))
        for part in parts[1:]:
            sums += part
    low, high = float(values[0]), float(values[-1])
    return (low + sums * ((high - low) / most)).astype(np.float32)


def voxel_hash(voxels: np.ndarray) -> bytes:
    """Return 16 bytes that two images (C, *S) share if they have one shape and equal voxels.

    Images of few values are hashed by these and by which each voxel has, a quarter of the bytes.
    """
    exact = np.ascontiguousarray(voxels, dtype=np.float32) + np.float32(0)  # -0 equals 0
    most = min(HASHED, exact.size // 4)
    some = exact.reshape(-1)[:: max(1, exact.size // (4 * HASHED))]
    if len(np.unique(some)) <= most and len(values := np.unique(exact)) <= most:
        kind = np.uint8 if len(values) <= 2**8 else np.uint16
        return _hash(np.searchsorted(values, exact).astype(kind), values)
    return _hash(exact)


def packed_hash(image: PackedImage) -> bytes:
    """Return the `voxel_hash` of a packed image."""
    if image.values is None or len(image.values) > min(HASHED, image.data.size // 4):
        return voxel_hash(image.voxels())
    return _hash(image.data, image.values + np.float32(0))


def _hash(data: np.ndarray, values: np.ndarray | None = None) -> bytes:
    digest = hashlib.sha256(repr(data.shape).encode())
    if values is not None:
        digest.update(f"{len(values)} values".encode() + values.tobytes())
    digest.update(data.data)
    return digest.digest()[:16]


class PackedWriter:
    """Writes images, in order, into a dataset that `create_images` made, several at a time.

    A dataset that has too few bits for one is made anew, with more, and what was written is moved
    there. The values that numbers stand for are the rows of `values` beside it, of which HDF5
    stores the pieces that were written. The digests are the caller's to keep.

    Args:
        dataset: (N, C, *S).

    Attributes:
        dataset: the one that there is by now; `flush` writes what is still in memory.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset, self._row = dataset, 0
        self._kept, self._tables = list[np.ndarray](), list[np.ndarray]()

    def add(self, image: PackedImage) -> None:
        """Write the next image."""
        wider = np.promote_types(self.dataset.dtype, image.data.dtype)
        if wider != self.dataset.dtype:
            self.flush()
            self.dataset = _widened(self.dataset, wider, self._row)
        if wider.kind == "f" or image.values is None:
            self._kept.append(image.voxels())
        else:
            self._kept.append(image.data)
            self._tables.append(image.values)
        if len(self._kept) * self._kept[0].nbytes >= TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory: HDF5 takes several images in a quarter of the time."""
        rows = slice(self._row, self._row + len(self._kept))
        if self._kept:
            self.dataset[rows] = np.stack(self._kept, dtype=self.dataset.dtype)
        if self._tables:
            group, width = self.dataset.parent, max(map(len, self._tables))
            if "values" not in group:
                shape = (len(self.dataset), 2**16)
                group.create_dataset("values", shape, "f4", chunks=(1, 2**8), fletcher32=True)
            tables = np.zeros((len(self._tables), width), np.float32)
            for table, found in zip(tables, self._tables, strict=True):
                table[: len(found)] = found
            group["values"][rows, :width] = tables
        self._row, self._kept, self._tables = rows.stop, [], []


def _widened(dataset: h5py.Dataset, dtype: np.dtype, rows: int) -> h5py.Dataset:
    """Return a dataset of more bits in the place of another, with its first `rows` rows."""
    group, values = dataset.parent, dataset.parent.get("values")
    group.move("images", "narrow")
    require_space(Path(group.file.filename), dtype.itemsize * dataset.size)
    kept = {"chunks": dataset.chunks, "fletcher32": True}
    made = group.create_dataset("images", dataset.shape, dtype, **kept)
    for row in range(rows):
        where = slice(row, row + 1)
        made[where] = unpacked(dataset, values if dtype.kind == "f" else None, where)
    made.attrs.update(dataset.attrs)
    del group["narrow"]
    if dtype.kind == "f" and values is not None:
        del group["values"]
    return made


def unpacked(dataset: h5py.Dataset, values: h5py.Dataset | None, where: slice) -> np.ndarray:
    """Return rows of a dataset as float32 (B, C, *S), whatever it holds."""
    found: np.ndarray = dataset[where]
    if values is None:
        return found
    tables = values[where, : int(found.max(initial=0)) + 1]
    return np.stack([look_up(table, codes) for table, codes in zip(tables, found, strict=True)])


def read_packed(dataset: h5py.Dataset, values: h5py.Dataset | None, row: int) -> PackedImage:
    """Return a row of a dataset as it was packed, but for its spacing."""
    codes: np.ndarray = dataset[row]
    return PackedImage(codes, None if values is None else values[row, : int(codes.max()) + 1], ())
