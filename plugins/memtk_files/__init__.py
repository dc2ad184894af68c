"""File formats: NIfTI, DICOM, pictures, NumPy arrays and HDF5; images in files as a generator."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_readers() -> Iterable[Component]:
    """Bring one reader for each family of formats."""
    return [
        Component(
            "nifti",
            "memtk_files.nifti:NiftiReader",
            "NIfTI (.nii, .nii.gz): axes in stored order (X, Y, Z), slope and intercept applied.",
            needs=("nibabel",),
            cases="memtk_files.cases:CASES",
        ),
        Component(
            "picture",
            "memtk_files.picture:PictureReader",
            "PNG, JPEG, TIFF; a TIFF of several pages is a volume (page, row, column).",
            needs=("imageio", "tifffile"),
            install="pip install scikit-image",
            cases="memtk_files.cases:CASES",
        ),
        Component(
            "numpy",
            "memtk_files.arrays:NumpyReader",
            "NumPy: .npy with one image, .npz with MedMNIST's arrays or one image an array.",
            cases="memtk_files.cases:CASES",
        ),
        Component(
            "hdf5",
            "memtk_files.hdf5:Hdf5Reader",
            "HDF5 (.h5, .hdf5): datasets train, val, test or images, one image a row.",
            needs=("h5py",),
            cases="memtk_files.cases:CASES",
        ),
        Component(
            "dicom",
            "memtk_files.dicom:DicomReader",
            "DICOM: a folder is one series (slice, row, column) sorted by position, a .dcm file "
            "one image; rescale slope and intercept applied, MONOCHROME1 inverted.",
            needs=("pydicom",),
            cases="memtk_files.cases:CASES",
        ),
    ]


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring the images that were sampled elsewhere, and a command that samples them."""
    return [
        Component(
            "command",
            "memtk_files.command:Command",
            "Any command that writes images: a container, the client of a service, a script.",
            cases="memtk_files.cases:CASES",
        ),
        Component(
            "images",
            "memtk_files.images:GivenImages",
            "Images sampled elsewhere: a folder, a manifest or a file of them.",
        ),
    ]
