"""NIfTI volumes."""

from __future__ import annotations

import logging
import math
import re
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import isal_zlib
from nibabel.volumeutils import apply_read_scaling

from memtk import UserError
from memtk.data.readers import check_size
from memtk.imaging.geometry import CHANNELS
from memtk.interfaces import Record, Volume

# It quotes headers, patients' names too; what matters of it is a sentence of memtk's.
warnings.filterwarnings("ignore", module=r"nibabel(\.|$)")
logging.getLogger("nibabel").addHandler(logging.NullHandler())
nibabel.imageglobals.logger.setLevel(logging.CRITICAL)

UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres in the header's unit of length, by its code: unknown, metre, millimetre, micron."""

INTENTS = (
    (range(2, 25), "a map of a statistic"),
    (range(1002, 1004), "labels"),
    (range(1004, 1011), "vectors or matrices"),
    (range(2001, 2003), "a series in time, or points of a surface"),
)
"""What else than an image a file may hold, by the header's intent code."""

KINDS = {1: "single bits", 1536: "float128", 1792: "complex128", 2048: "complex256"}
"""Voxels that not every machine can read, by the header's data code."""

ONE = (0.0, 1.0)
"""What the header says of the step along its fourth axis where that holds no times."""

SIZES = 0.01
"""Up to this share the voxel sizes of sform, qform and pixdim may differ: they are rounded
differently."""


AT_ONCE, SLACK, PIECE = 2**28, 2**20, 2**18
"""Bytes of voxels that are unpacked here; what gzip may add; bytes of a file read at a time."""


class NiftiReader:
    """Reads NIfTI-1 and NIfTI-2.

    Voxels keep the order in which they are stored: (1, X, Y, Z), or (C, X, Y, Z) where a fourth
    axis of at most four entries, or a fifth, holds channels. A single slice (X, Y) or (X, Y, 1) is
    the 2D image (1, X, Y). Slope and intercept of the header are applied, and its unit of length.

    The affine is the header's sform, as nibabel takes it, or its qform where the sform is not set
    or not usable; where neither is, there is none and the spacing is the header's zooms. A file
    whose sform and qform name other directions or voxel sizes is refused: nothing says which is
    right. That one is turned a little, as coregistration leaves them, is no contradiction. So is
    one whose pixdim names other voxel sizes than the sform; pixdim of 1 is that of programs that
    leave it out.
    """

    suffixes = (".nii", ".nii.gz")

    def records(self, path: Path) -> Sequence[Record]:
        """Return the one image of a file."""
        return [Record(path)]

    def read(self, record: Record) -> Volume:
        """Read the voxels.

        Raises:
            UserError: if the file holds time points, labels, or voxels that are not numbers; if its
                header contradicts itself, or claims more voxels than the file holds.
        """
        path = record.path
        try:
            image = _opened(path)
        except nibabel.spatialimages.HeaderDataError as error:
            found = re.search(r"data code (\d+) not supported", str(error))
            if kind := KINDS.get(int(found[1])) if found else None:
                raise UserError(
                    f"cannot read {path}: its voxels are {kind}, which nothing here reads: save "
                    "one real number a voxel, of up to 64 bit"
                ) from error
            raise
        if isinstance(image, nibabel.Cifti2Image):
            raise UserError(
                f"cannot read {path}: it holds values of surfaces (CIFTI), and no volume alone"
            )
        if not isinstance(image, nibabel.Nifti1Image):
            raise UserError(f"cannot read {path}: it is {type(image).__name__}, not NIfTI")
        header, dtype = image.header, image.get_data_dtype()
        if dtype.kind not in "biuf":
            raise UserError(
                f"cannot read {path}: its voxels are {dtype}; memtk takes one real number a voxel"
            )
        intent = int(header["intent_code"])
        if held := [what for codes, what in INTENTS if intent in codes]:
            way = (
                ". If they are channels, set its intent code to 0" if intent in (1006, 1007) else ""
            )
            raise UserError(f"cannot read {path}: its header says that it holds {held[0]}{way}")
        length = int(header["xyzt_units"]) & 7
        if length not in UNITS:
            raise UserError(f"cannot read {path}: its unit of length has the unknown code {length}")
        stored: Any = image.dataobj
        if (begin := int(stored.offset)) < header.single_vox_offset:
            raise UserError(
                f"cannot read {path}: its voxels begin in its header (byte {begin}), as those of "
                "a pair of .hdr and .img do: nibabel.save(nibabel.load('a.img'), 'a.nii.gz')"
            )
        shape = _trimmed(image.shape, path)
        check_size(path, shape, dtype.itemsize)
        if len(shape) == 4 and int(header["xyzt_units"]) >> 3 and header["pixdim"][4] not in ONE:
            raise UserError(
                f"cannot read {path}: its header says that it holds {shape[3]} points in time, "
                f"{float(header['pixdim'][4]):.4g} apart. Save one file a volume; of channels set "
                "pixdim[4] to 1"
            )
        voxels = _voxels(image, path).reshape(shape)  # (X, Y[, Z[, C]])
        axes = min(len(shape), 3)
        voxels = np.moveaxis(voxels, 3, 0) if len(shape) == 4 else voxels[None]  # (C, *S)
        unit = UNITS[length]
        zooms = [unit * abs(float(z)) for z in header.get_zooms()[:axes]]
        affine = _affine(header, axes, path)
        if affine is not None:  # the zooms can disagree with an sform, which is what counts
            affine[:3] *= unit
            zooms = [float(z) for z in np.linalg.norm(affine[:3, :axes], axis=0)]
        spacing = tuple(z if np.isfinite(z) and z > 0 else 1.0 for z in zooms)
        return Volume(voxels, spacing, affine)


def _opened(path: Path) -> Any:
    """Open a file. Of a suffix in mixed letters, `.Nii`, nibabel finds none."""
    suffix = path.name[path.name.lower().rindex(".nii") :].removesuffix(".gz").removesuffix(".GZ")
    if suffix in (".nii", ".NII"):
        return nibabel.load(path)
    holder = {"image": nibabel.FileHolder(str(path))}
    with suppress(nibabel.spatialimages.HeaderDataError, nibabel.filebasedimages.ImageFileError):
        return nibabel.Nifti1Image.from_file_map(holder)
    return nibabel.Nifti2Image.from_file_map(holder)


def _voxels(image: Any, path: Path) -> np.ndarray:
    """Return the scaled voxels, unpacked by ISA-L to where they stay, in half the time of nibabel.

    Where that is not possible, as in a file of several parts, nibabel reads them.

    Raises:
        UserError: if the file holds as many voxels again as its header says.
        zlib.error, isal_zlib.error: if it is damaged.
    """
    size = math.prod(image.shape) * image.get_data_dtype().itemsize
    most = int(image.dataobj.offset) + size
    if path.suffix.lower() != ".gz":
        _check_rest(path.stat().st_size - most, size, path)
        return np.asanyarray(image.dataobj)
    if most > AT_ONCE or path.stat().st_size > most + SLACK:
        return np.asanyarray(image.dataobj)
    unpacked, count, packed = np.empty(most, np.uint8), 0, isal_zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        zlib.decompressobj(wbits=31).decompress(file.read(4))  # ISA-L lets flags of no meaning pass
        file.seek(0)
        while not packed.eof and count < most + size and (piece := file.read(PIECE)):
            part = np.frombuffer(packed.decompress(piece, most + size - count), np.uint8)
            room = unpacked[count : count + len(part)]
            room[:] = part[: len(room)]
            count += len(part)
    if count < most:
        return np.asanyarray(image.dataobj)
    _check_rest(count - most, size, path)
    stored = unpacked[most - size :].view(image.get_data_dtype()).reshape(image.shape, order="F")
    scale = map(np.asanyarray, (image.dataobj.slope, image.dataobj.inter))
    return apply_read_scaling(stored, *scale)


def _check_rest(rest: int, size: int, path: Path) -> None:
    """Refuse a file with as many bytes behind its voxels as these have, `size`."""
    if rest >= size:
        raise UserError(
            f"cannot read {path}: it holds more voxels than its header says, several volumes "
            "rather than one. Save one file a volume"
        )


def _trimmed(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """Drop trailing axes of one entry, which NIfTI pads its shapes with."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 5 and shape[3] == 1:  # no times, and the channels behind them
        shape = (*shape[:3], shape[4])
    if len(shape) < 2 or min(shape) < 1:
        raise UserError(f"cannot read {path}: its shape {shape} is no image")
    if len(shape) == 4 and shape[0] == 1 and shape[3] > CHANNELS:
        raise UserError(
            f"cannot read {path}: the first of its axes, {' x '.join(map(str, shape))}, has one "
            "entry, as of channels, which NIfTI has behind the others: save array[0]"
        )
    if len(shape) > 4 or (len(shape) == 4 and shape[3] > CHANNELS):
        size = " x ".join(map(str, shape))
        raise UserError(
            f"cannot read {path}: it holds {size} values, a series of volumes rather than one.\n"
            f"Save one file a volume (a fourth axis of up to {CHANNELS} counts as channels)."
        )
    return shape


def _affine(header: Any, axes: int, path: Path) -> np.ndarray | None:
    """Return the header's voxel-to-world matrix, or None where it has no usable one.

    Args:
        header: of the file.
        axes: how many the image has, 2 or 3; the two matrices are compared along these.
        path: of the file.

    Raises:
        UserError: if sform and qform contradict each other.
    """
    sform = _usable(header.get_sform(coded=True))
    qform = _usable(header.get_qform(coded=True))
    if sform is not None and qform is not None and (said := _conflict(sform, qform, axes)):
        raise UserError(
            f"cannot read {path}: its {said}. Set the code of the wrong one to 0, or copy the "
            "right one over the other, e.g. by nibabel: image.set_qform(image.get_sform())"
        )
    zooms = np.abs(header.get_zooms()[:axes]).astype(np.float64)
    known = np.isfinite(zooms).all() and zooms.min() > 0 and not (zooms == 1).all()
    if sform is not None and qform is None and known and (sizes := _other_sizes(sform, zooms)):
        raise UserError(
            f"cannot read {path}: its sform says {sizes[0]} and its pixdim {sizes[1]}. Set "
            "pixdim to the sizes of the sform or, where pixdim is right, the code of the sform to "
            "0: by nibabel, "
            "image.header.set_zooms(nibabel.affines.voxel_sizes(image.affine)) or "
            "image.set_sform(None)"
        )
    return sform if sform is not None else qform


def _conflict(sform: np.ndarray, qform: np.ndarray, axes: int) -> str:
    """Say in what two (4, 4) matrices of one image contradict each other, "" if in nothing."""
    ways = ["".join(nibabel.aff2axcodes(affine)) for affine in (sform, qform)]
    if ways[0] != ways[1]:
        return f"sform says {ways[0]} and its qform {ways[1]}"
    sizes = _other_sizes(sform, np.linalg.norm(qform[:3, :axes], axis=0))
    return f"sform says {sizes[0]} and its qform {sizes[1]}" if sizes else ""


def _other_sizes(sform: np.ndarray, other: np.ndarray) -> list[str]:
    """Say the voxel sizes of a sform and those of something else, [] where they are the same."""
    sizes = [np.linalg.norm(sform[:3, : len(other)], axis=0), other]
    if np.allclose(sizes[0], sizes[1], rtol=SIZES, atol=0):
        return []
    said = [" x ".join(f"{size:.4g}" for size in each) for each in sizes]
    return [f"voxels of {said[0]}", said[1]]


def _usable(coded: tuple[np.ndarray | None, int]) -> np.ndarray | None:
    affine, code = coded
    if affine is None or code <= 0:
        return None
    affine = np.array(affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        return None
    return affine
