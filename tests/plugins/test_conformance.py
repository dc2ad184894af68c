"""Every built-in component keeps the rules that memtk asks of anybody's."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from imageio import v3 as imageio
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from memtk.interfaces import ImageSpec
from memtk.registry import open_registry
from memtk.testing import (
    check_embedder,
    check_generator,
    check_mitigation,
    check_quality_metric,
    check_reader,
    check_similarity,
)

SPECS = {2: ImageSpec((32, 32)), 3: ImageSpec((16, 16, 16))}


def components(kind):
    """Every built-in component of a kind, once for each number of axes it works on."""
    return [
        pytest.param(entry, SPECS[dims], id=f"{entry.name}-{dims}d")
        for entry in open_registry().entries(kind)
        if entry.plugin.distribution == "memtk"
        for dims in sorted(entry.component.dims)
    ]


def loaded(entry):
    if entry.missing:
        pytest.skip(f"{entry.name} needs {', '.join(entry.missing)}")
    return entry.load()


@pytest.mark.parametrize(("entry", "spec"), components("generator"))
def test_generators_keep_the_rules(entry, spec):
    cls = loaded(entry)
    if any(field.is_required() for field in cls.Config.model_fields.values()):
        pytest.skip(f"{entry.name} needs files: its own test makes some and checks it on them")
    check_generator(cls, spec=spec)


@pytest.mark.parametrize(("entry", "spec"), components("embedder"))
def test_embedders_keep_the_rules(entry, spec):
    check_embedder(loaded(entry), spec=spec)


@pytest.mark.parametrize(("entry", "spec"), components("mitigation"))
def test_mitigations_keep_the_rules(entry, spec):
    check_mitigation(loaded(entry), spec=spec, whole_patients=True)


@pytest.mark.parametrize("name", sorted({p.values[0].name for p in components("similarity")}))
def test_similarities_keep_the_rules(name):
    check_similarity(loaded(open_registry().find("similarity", name)))


@pytest.mark.parametrize(("entry", "spec"), components("quality"))
def test_quality_metrics_keep_the_rules(entry, spec):
    check_quality_metric(loaded(entry), spec=spec)


VOLUME = np.random.default_rng(0).integers(0, 200, (6, 16, 20)).astype(np.int16)
PICTURE = VOLUME[0].astype(np.uint8)


def write_dicom(path, number=0):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_ = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    slice_.SeriesInstanceUID, slice_.InstanceNumber = "1.2.3", number + 1
    slice_.Modality, slice_.PhotometricInterpretation = "CT", "MONOCHROME2"
    slice_.Rows, slice_.Columns, slice_.SamplesPerPixel = 16, 20, 1
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
    slice_.PixelRepresentation, slice_.PixelSpacing = 1, [0.5, 0.5]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.ImagePositionPatient = [0, 0, 2.0 * number]
    slice_.PixelData = VOLUME[number].tobytes()
    slice_.save_as(path, enforce_file_format=True)


def write_series(path):
    path.mkdir()
    for number in range(3):
        write_dicom(path / f"{number}.dcm", number)


def write_h5(path):
    with h5py.File(path, "w") as file:
        file["images"] = VOLUME[:, None]


EXAMPLES = {
    "a.nii": lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path),
    "a.nii.gz": lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path),
    "a.png": lambda path: imageio.imwrite(path, PICTURE),
    "a.jpg": lambda path: imageio.imwrite(path, PICTURE),
    "a.tif": lambda path: tifffile.imwrite(path, VOLUME, photometric="minisblack"),
    "a.npy": lambda path: np.save(path, PICTURE),
    "a.npz": lambda path: np.savez(path, train_images=VOLUME.astype(np.uint8)),
    "a.h5": write_h5,
    "a.dcm": write_dicom,
    "series": write_series,
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_readers_keep_the_rules(tmp_path, example):
    path = tmp_path / example
    EXAMPLES[example](path)
    classes = [entry.load() for entry in open_registry().entries("reader") if not entry.missing]
    suits = [c for c in classes if example.endswith(c.suffixes)] or [
        c for c in classes if ".dcm" in c.suffixes
    ]
    assert len(suits) == 1, f"{example} is read by {suits}"
    check_reader(suits[0], path)


def test_every_built_in_reader_has_an_example():
    for entry in open_registry().entries("reader"):
        assert any(example.endswith(entry.load().suffixes) for example in EXAMPLES), entry.name


def test_pydicom_reads_the_example_series(tmp_path):
    write_series(tmp_path / "series")
    read = pydicom.dcmread(tmp_path / "series" / "1.dcm").pixel_array
    assert np.array_equal(read, VOLUME[1])
