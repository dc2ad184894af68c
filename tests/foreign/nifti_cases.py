"""Cases of NIfTI."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
from foreign.cases import VOLUME, case


def nifti(name="a.nii", voxels=VOLUME, kind=nibabel.Nifti1Image, change=None):
    def write(folder):
        scan = kind(voxels, np.diag([2.0, 2.0, 3.0, 1.0]))
        if change:
            change(scan)
        nibabel.save(scan, folder / name)
        return folder / name

    return write


def conflict(scan):
    scan.header.set_qform(np.diag([-2.0, 2.0, 3.0, 1.0]), code=1)


def huge(scan):
    scan.set_sform(np.diag([1, 5e12, 1, 1]), 1)
    scan.header.set_zooms((1, 5e12, 1))


def coregistered(scan):
    turn, (cos, sin) = np.eye(4), (np.cos(0.1), np.sin(0.1))
    turn[:2, :2] = [[cos, -sin], [sin, cos]]
    scan.header.set_qform(turn @ scan.affine, code=1)


def scaled(folder):
    scan = nibabel.Nifti1Image(VOLUME, np.eye(4))
    scan.header.set_slope_inter(2, -100)
    nibabel.save(scan, folder / "a.nii")
    return folder / "a.nii"


def big_endian(folder):
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4), header), folder / "a.nii")
    return folder / "a.nii"


def of_kind(code):
    def write(folder):
        path = nifti()(folder)
        content = bytearray(path.read_bytes())
        content[70:72] = code.to_bytes(2, "little")
        path.write_bytes(content)
        return path

    return write


def twice(folder):
    path = nifti("a.nii.gz")(folder)
    path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def cifti(folder):
    axes = nibabel.cifti2.cifti2_axes
    surface = axes.BrainModelAxis.from_mask(np.ones(9, bool), name="CortexLeft")
    image = nibabel.Cifti2Image(np.zeros((4, 9), np.float32), (axes.SeriesAxis(0, 1, 4), surface))
    image.to_filename(folder / "a.dtseries.nii")
    return folder / "a.dtseries.nii"


_channels = np.stack([VOLUME, VOLUME + 1], -1)
_rgb = np.zeros((6, 24, 20), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
for _what, _write, _says in (
    ("a volume (.nii)", nifti(), VOLUME[None]),
    ("compressed (.nii.gz)", nifti("a.nii.gz"), VOLUME[None]),
    ("NIfTI-2", nifti(kind=nibabel.Nifti2Image), VOLUME[None]),
    ("most significant byte first", big_endian, VOLUME[None]),
    ("with slope and intercept", scaled, VOLUME[None] * 2.0 - 100),
    ("real numbers", nifti(voxels=VOLUME.astype(np.float32) / 3), VOLUME[None] / np.float32(3)),
    ("one slice: a picture", nifti(voxels=VOLUME[0][..., None]), VOLUME[:1]),
    ("up to four channels", nifti(voxels=_channels), np.moveaxis(_channels, 3, 0)),
    ("up to four channels on the fifth axis, as TorchIO writes them",
     nifti(voxels=_channels[..., None, :]), np.moveaxis(_channels, 3, 0)),
    ("time points", nifti(voxels=np.stack([VOLUME] * 7, -1)), "a series of volumes"),
    ("an axis of channels before the others", nifti(voxels=VOLUME[None]), "save array[0]"),
    ("complex numbers", nifti(voxels=VOLUME.astype(np.complex64)), "one real number a voxel"),
    ("single bits, numbers of 128 bit and more", of_kind(1), "which nothing here reads"),
    ("compressed by gzip twice", twice, "unpack it once, by gunzip"),
    ("surfaces (CIFTI)", cifti, "holds values of surfaces"),
    ("RGB voxels", nifti(voxels=_rgb), "one real number a voxel"),
    ("labels, by its intent", nifti(change=lambda s: s.header.set_intent("label")), "holds labels"),
    ("vectors, maps of statistics, times, by its intent",
     nifti(change=lambda s: s.header.set_intent("vector")), "holds vectors or matrices"),
    ("a qform turned against the sform, as coregistration leaves it: the sform counts",
     nifti(change=coregistered), VOLUME[None]),
    ("voxels of more than 10 m, or less than a tenth of a nanometre",
     nifti(change=huge), "no size of a voxel"),
    ("sform and qform of other directions or voxel sizes", nifti(change=conflict),
     "sform says RAS and its qform LAS"),
    ("sform and pixdim of other voxel sizes",
     nifti(change=lambda s: s.header.set_zooms((0.5, 0.5, 3))), "and its pixdim 0.5 x 0.5 x 3"),
):  # fmt: skip
    case("NIfTI", _what, _says)(_write)
