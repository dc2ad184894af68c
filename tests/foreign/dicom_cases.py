"""Cases of DICOM files and series."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from foreign.cases import COLOUR, GRAY, VOLUME, WIDE, case, picture
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

_colour = np.moveaxis(COLOUR, 2, 0)
CT, DX = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


def dicom(path, pixels, *, sop=DX, modality="DX", syntax=ExplicitVRLittleEndian, data=None,
          number=1, drop=(), **tags):  # fmt: skip
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop), generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = sop, meta.MediaStorageSOPInstanceUID
    file.SeriesInstanceUID, file.InstanceNumber, file.Modality = "1.2.3", number, modality
    file.PatientID = "Q1"
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    file.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, int(pixels.dtype.kind == "i")
    file.PixelData = encapsulate([data]) if data else np.ascontiguousarray(pixels).tobytes()
    file["PixelData"].VR = "OB" if data or pixels.itemsize == 1 else "OW"
    for key, value in tags.items():
        setattr(file, key, value)
    for key in drop:
        delattr(file, key)
    return file


def one(pixels=GRAY, compress=None, **how):
    def write(folder):
        file = dicom(folder / "a.dcm", pixels, **how)
        if compress:
            file.compress(compress)
        file.save_as(folder / "a.dcm", enforce_file_format=True)
        return folder / "a.dcm"

    return write


def encoded(form, syntax, pixels=GRAY, bits=None, **how):
    """Write a file whose voxels PIL has compressed."""

    def write(folder):
        picture(f"a.{form}", pixels, **how)(folder)
        data = (folder / f"a.{form}").read_bytes()
        (folder / f"a.{form}").unlink()
        tags = {"BitsStored": bits, "HighBit": bits - 1} if bits else {}
        return one(pixels, syntax=syntax, data=data, **tags)(folder)

    return write


def series(change=lambda number, file: None, modality="CT", sop=CT):
    """Write the slices of a volume, their names in no order."""

    def write(folder):
        (folder / "s").mkdir()
        for number, pixels in enumerate(VOLUME):
            name = folder / "s" / f"{(number * 5) % 6}"
            file = dicom(name, pixels, sop=sop, modality=modality, number=number + 1,
                         PixelSpacing=[1.0, 1.0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                         ImagePositionPatient=[0, 0, 2.0 * number])  # fmt: skip
            if change(number, file) is None:
                file.save_as(name, enforce_file_format=True)
        return folder / "s"

    return write


def deflated(folder):
    path = one(GRAY)(folder)
    content = path.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    old, new = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    at, size = content.index(old), int.from_bytes(content[140:144], "little") + len(new) - len(old)
    head = content[:140] + size.to_bytes(4, "little") + content[144 : at - 2]
    head += len(new).to_bytes(2, "little") + new + content[at + len(old) : end]
    path.write_bytes(head + pack.compress(content[end:]) + pack.flush())
    return path


def lut(folder):
    ramp = (np.arange(255, -1, -1).astype(np.uint16) * 257).tobytes()
    tags = {}
    for colour in ("Red", "Green", "Blue"):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = ramp
    return one(PhotometricInterpretation="PALETTE COLOR", modality="US", **tags)(folder)


def group(**tags):
    inner, outer = Dataset(), Dataset()
    for key, value in tags.items():
        setattr(inner, key, value)
    outer.PixelValueTransformationSequence = Sequence([inner])
    return Sequence([outer])


def gap(number, file):
    return "left out" if number == 2 else None


def echoes(number, file):
    file.EchoTime = 10 + 80 * (number % 2)


def series_each(number, file):
    file.SeriesInstanceUID = f"1.2.3.{number}"


def two_patients(number, file):
    file.PatientID = f"Q{number % 2}"


def strip(path):
    """Take away what stands before the data set."""
    content = path.read_bytes()
    path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])
    return path


def some_bare(number, file):
    if number % 2 == 0:
        return None
    file.save_as(file.filename, enforce_file_format=True)
    return strip(Path(file.filename))


_lossless = {"irreversible": False}
_enhanced = group(RescaleSlope=2, RescaleIntercept=-9, RescaleType="US")
for _what, _write, _says, _near in (
    ("a radiograph", one(), GRAY[None], 0),
    ("a MONOCHROME1 radiograph", one(PhotometricInterpretation="MONOCHROME1"),
     GRAY[None].max() + float(GRAY.min()) - GRAY[None], 0),
    ("rescale slope and intercept", one(WIDE // 99, RescaleSlope=2, RescaleIntercept=-50),
     (WIDE[None] // 99) * 2.0 - 50, 0),
    ("in colour", one(COLOUR), _colour, 0),
    ("with a palette", lut, (255 - GRAY[None].astype(np.uint16)) * 257, 0),
    ("functional groups, one frame", one(sop="1.2.840.10008.5.1.4.1.1.2.1", NumberOfFrames=1,
     SharedFunctionalGroupsSequence=_enhanced), GRAY[None] * 2.0 - 9, 0),
    ("real numbers (Float Pixel Data)", one(GRAY.astype(np.uint32), drop=("PixelData",),
     FloatPixelData=GRAY.astype(np.float32).tobytes()), GRAY[None].astype(np.float32), 0),
    ("compressed by RLE", one(compress="1.2.840.10008.1.2.5"), GRAY[None], 0),
    ("compressed by JPEG", encoded("jpg", "1.2.840.10008.1.2.4.50", quality=100), GRAY[None], 3),
    ("compressed by JPEG 2000", encoded("jp2", "1.2.840.10008.1.2.4.90", **_lossless),
     GRAY[None], 0),
    ("deflated", deflated, GRAY[None], 0),
    ("without preamble", lambda folder: strip(one()(folder)), GRAY[None], 0),
    ("a series: a volume, by position", series(), VOLUME[None], 0),
    ("slices without preamble or suffix among others", series(some_bare), VOLUME[None], 0),
    ("voxels in the upper bits", one(WIDE, BitsStored=12), "HighBit is 15 with 12", 0),
    ("compressed, and more bits than BitsStored (an overlay above the voxels)", encoded("jp2",
     "1.2.840.10008.1.2.4.90", WIDE | np.uint16(1 << 15), bits=12, **_lossless),
     "more than the 12 bits", 0),
    ("positive and negative at once", one(PresentationLUTShape="INVERSE"),
     "PresentationLUTShape INVERSE", 0),
    ("several frames", one(np.tile(GRAY, (2, 1)), NumberOfFrames=2, Rows=24), "several frames", 0),
    ("more frames than its header says", one(PixelData=GRAY.tobytes() * 2), "one frame of 24 x 20",
     0),
    ("a mosaic of slices", one(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "is a mosaic", 0),
    ("colours that are unknown, or not so many", one(PhotometricInterpretation="RGB"),
     "is RGB with 1 value a pixel", 0),
    ("a series with a slice missing", series(gap), "mm apart; one is missing", 0),
    ("a series of several measurements (EchoTime, b-values, phase and magnitude, ...)",
     series(echoes), "its slices differ in EchoTime", 0),
    ("slices of one volume with a series each", series(series_each),
     "each says a series of its own", 0),
    ("a series of two patients", series(two_patients), "name 2 patients", 0),
    ("segmentations", series(modality="SEG", sop="1.2.840.10008.5.1.4.1.1.66.4"),
     "left out: segmentations (DICOM SEG)", 0),
    ("structured reports, doses, and whatever has no voxels", one(sop=SR, modality="SR",
     drop=("Rows", "Columns", "PixelData")), "left out: DICOM files without an image", 0),
):  # fmt: skip
    case("DICOM", _what, _says, _near)(_write)

case("DICOM", "compressed by MPEG, JPEG XL or in a way of a maker",
     "it needs a decoder, and none is known")(
    one(WIDE, syntax="1.2.840.10008.1.2.4.100", data=bytes(40)))  # fmt: skip
_codec = b"\xff\xd8\xff\xf7" + bytes(40)
for _what, _syntax, _way in (
    ("JPEG-LS", "1.2.840.10008.1.2.4.80", "pylibjpeg pylibjpeg-libjpeg"),
    ("lossless JPEG", "1.2.840.10008.1.2.4.70", "pylibjpeg pylibjpeg-libjpeg"),
    ("JPEG of 12 bit", "1.2.840.10008.1.2.4.51", "pylibjpeg pylibjpeg-libjpeg"),
    ("High-Throughput JPEG 2000", "1.2.840.10008.1.2.4.201", "pylibjpeg pylibjpeg-openjpeg"),
):  # fmt: skip
    case("DICOM", f"compressed by {_what}", f"pip install {_way}", install=_way)(
        one(WIDE, syntax=_syntax, data=_codec)
    )
