"""On what readers and the command are checked: a file of each format, and a program that writes."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import h5py
import imageio.v3 as imageio
import nibabel
import numpy as np
import tifffile
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from memtk.interfaces import ImageSpec
from memtk.testing import Case
from memtk_files.arrays import NumpyReader
from memtk_files.command import Command
from memtk_files.dicom import DicomReader
from memtk_files.hdf5 import Hdf5Reader
from memtk_files.nifti import NiftiReader
from memtk_files.picture import PictureReader

VOLUME = np.random.default_rng(0).integers(0, 200, (6, 110, 120)).astype(np.int16)
"""Slices, rows, columns; large enough to tell whether a reader opens it when it lists it."""

PICTURE = np.tile(VOLUME[0], (4, 3)).astype(np.uint8)


def nii(folder: Path) -> Path:
    """Write a NIfTI file."""
    return _nifti(folder / "a.nii")


def nii_gz(folder: Path) -> Path:
    """Write a compressed NIfTI file."""
    return _nifti(folder / "a.nii.gz")


def png(folder: Path) -> Path:
    """Write a PNG."""
    return _picture(folder / "a.png")


def jpg(folder: Path) -> Path:
    """Write a JPEG."""
    return _picture(folder / "a.jpg")


def tif(folder: Path) -> Path:
    """Write a TIFF of several pages."""
    tifffile.imwrite(folder / "a.tif", VOLUME, photometric="minisblack")
    return folder / "a.tif"


def npy(folder: Path) -> Path:
    """Write one array."""
    np.save(folder / "a.npy", PICTURE)
    return folder / "a.npy"


def npz(folder: Path) -> Path:
    """Write images as MedMNIST does."""
    np.savez(folder / "a.npz", train_images=np.tile(VOLUME, (2, 1, 1)).astype(np.uint8))
    return folder / "a.npz"


def h5(folder: Path) -> Path:
    """Write an HDF5 file of several images."""
    with h5py.File(folder / "a.h5", "w") as file:
        file["images"] = VOLUME[:, None]
    return folder / "a.h5"


def dcm(folder: Path, number: int = 0, name: str = "a.dcm") -> Path:
    """Write one DICOM slice."""
    path, voxels = folder / name, np.tile(VOLUME[number], (2, 3))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_ = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    slice_.SeriesInstanceUID, slice_.InstanceNumber = "1.2.3", number + 1
    slice_.Modality, slice_.PhotometricInterpretation = "CT", "MONOCHROME2"
    slice_.Rows, slice_.Columns = voxels.shape
    slice_.SamplesPerPixel = 1
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
    slice_.PixelRepresentation, slice_.PixelSpacing = 1, [0.5, 0.5]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.ImagePositionPatient = [0, 0, 2.0 * number]
    slice_.PixelData = voxels.tobytes()
    slice_.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path) -> Path:
    """Write a folder of DICOM slices."""
    (folder / "series").mkdir()
    for number in range(3):
        dcm(folder / "series", number, f"{number}.dcm")
    return folder / "series"


def _nifti(path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path)
    return path


def _picture(path: Path) -> Path:
    imageio.imwrite(path, PICTURE)
    return path


WRITER = """
import sys
import numpy as np
folder, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number, image in enumerate(np.random.default_rng(seed).random((count, 12, 10))):
    np.save(f"{folder}/{number:03d}.npy", image)
"""
"""A program that draws images."""

_KEPT = tempfile.TemporaryDirectory(prefix="memtk-command-")  # is removed when the process ends

COMMAND = {
    "run": shlex.join([sys.executable, "-c", WRITER, "{folder}", "{count}", "{seed}"]),
    "folder": _KEPT.name,
    "count": 2,
}

CASES = (
    Case(Command, COMMAND, ImageSpec((12, 10))),
    *(Case(NiftiReader, example=write) for write in (nii, nii_gz)),
    *(Case(PictureReader, example=write) for write in (png, jpg, tif)),
    *(Case(NumpyReader, example=write) for write in (npy, npz)),
    Case(Hdf5Reader, example=h5),
    *(Case(DicomReader, example=write) for write in (dcm, series)),
)
