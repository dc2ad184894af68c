"""Files as hospitals and other people's programs write them, made by code."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter

from memtk.config import build
from memtk.data.checks.examination import examine
from memtk.data.config import DataConfig
from memtk.data.sources import open_source

SECONDARY, CT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="session")
def image():
    """Make a smooth image without symmetries: `image(seed, shape, top, dtype)`."""

    def make(seed, shape=(32, 32), top=255, dtype=np.uint8):
        x = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
        x = (x - x.min()) / np.ptp(x) + np.linspace(0, 1, shape[-1])
        x = x + 2 * np.linspace(0, 1, shape[-2])[:, None] ** 2
        x = (x - x.min()) / np.ptp(x) * top
        return x.round().astype(dtype) if np.dtype(dtype).kind in "iu" else x.astype(dtype)

    return make


@pytest.fixture
def png(image):
    def write(path, seed, shape=(32, 32)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image(seed, shape)).save(path)
        return path

    return write


@pytest.fixture
def nii():
    def write(path, voxels, affine=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
        return path

    return write


@pytest.fixture
def dcm():
    """Write one small DICOM file: `dcm(path, pixels, modality="CT", at=(0, 0, 2), ...)`."""

    def write(path, px, *, series="1.2.3.4", number=1, at=None, modality="CT", bits=16,
              photometric="MONOCHROME2", patient="Q1", drop=(), preamble=True, sop=None,
              **tags):  # fmt: skip
        sop = sop or (CT if modality in {"CT", "MR", "PT", "NM"} else SECONDARY)
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = UID(sop)
        meta.MediaStorageSOPInstanceUID = generate_uid()
        d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = sop, meta.MediaStorageSOPInstanceUID
        d.SeriesInstanceUID, d.InstanceNumber = series, number
        d.Modality, d.PatientID = modality, patient
        color = px.ndim == 3
        d.Rows, d.Columns, d.SamplesPerPixel = *px.shape[:2], 3 if color else 1
        d.PhotometricInterpretation = "RGB" if color else photometric
        if color:
            d.PlanarConfiguration = 0
        d.BitsAllocated = 8 * px.dtype.itemsize
        d.BitsStored = min(bits, d.BitsAllocated)
        d.HighBit, d.PixelRepresentation = d.BitsStored - 1, int(px.dtype.kind == "i")
        d.PixelSpacing = [1.0, 1.0]
        if at is not None:
            d.ImagePositionPatient, d.ImageOrientationPatient = list(at), [1, 0, 0, 0, 1, 0]
        d.PixelData = np.ascontiguousarray(px).tobytes()
        d["PixelData"].VR = "OW" if d.BitsAllocated > 8 else "OB"
        for key, value in tags.items():
            setattr(d, key, value)
        for key in drop:
            delattr(d, key)
        if preamble:
            d.save_as(path, enforce_file_format=True)
        else:
            del d.file_meta
            d.preamble = None
            dcmwrite(path, d, implicit_vr=True, little_endian=True)
        return path

    return write


@pytest.fixture
def check(registry):
    """Run `memtk check`: `check(source, key=value)` gives groups and findings by their names."""

    def run(source, **keys):
        config = build(DataConfig, {"source": str(source), **keys}, where="data")
        report = examine(config, registry)
        return report.groups, {f.check: f for f in report.findings}

    return run


@pytest.fixture
def read(registry, tmp_path):
    """Read one file as memtk does: gives its volume."""

    def run(path, **keys):
        manifest = tmp_path / "one.csv"
        manifest.write_text(f"path,patient_id\n{Path(path).absolute()},1\n")
        asked = {"source": str(manifest), "validation": 0.0, **keys}
        source = open_source(build(DataConfig, asked, where="data"), registry)
        return source.load(source.samples[0])

    return run


def corr(a, b):
    return float(np.corrcoef(np.ravel(a).astype(float), np.ravel(b).astype(float))[0, 1])
