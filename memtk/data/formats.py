"""Formats that memtk does not read: what a file is, and what to do with it."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from pathlib import Path

TABLES = (".xls", ".xlsx", ".ods", ".tsv")

LISTS = (
    *(".txt", ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".feather", ".arrow", ".sav"),
    *(".dta", ".rds", ".sqlite", ".db"),
)
"""What else may list images, and mostly says something else."""

UNREAD = {
    (".nrrd", ".nhdr", ".mha", ".mhd", ".vtk", ".vti", ".gipl", ".mrc"): (
        "convert it to NIfTI, e.g. by SimpleITK: WriteImage(ReadImage('a.nrrd'), 'a.nii.gz')"
    ),
    (
        *(
            ".mgz",
            ".mgh",
            ".mgh.gz",
            ".mnc",
            ".hdr",
            ".img",
            ".hdr.gz",
            ".img.gz",
            ".head",
            ".brik",
        ),
        *(".brik.gz", ".par", ".rec"),
    ): ("convert it to NIfTI, e.g. by nibabel.save(nibabel.load('a.mgz'), 'a.nii.gz')"),
    (".mif", ".mif.gz", ".mih"): "convert it to NIfTI by MRtrix: mrconvert a.mif a.nii.gz",
    (
        *(".gif", ".webp", ".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jph", ".jls", ".jxl"),
        *(".jxr", ".ljpeg", ".heic", ".heif", ".avif", ".exr", ".ppm", ".pgm", ".pbm", ".pnm"),
        *(".pam", ".pfm", ".tga", ".pcx", ".psd", ".ico", ".dib", ".apng", ".dng", ".sgi", ".ras"),
    ): "save it as PNG",
    (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"): "unpack it",
    (
        *(".pkl", ".pickle", ".pt", ".pth", ".mat", ".zarr", ".tfrecord", ".fits"),
        *(".nc", ".cdf", ".b2nd", ".hdf", ".mdb", ".joblib", ".tfrecords"),
    ): "save its images as numbers: np.savez('a.npz', images=array)",
    (".parquet",): (
        "if it lists images, save it as CSV, with the columns path,patient_id,split; if it holds "
        "them, save them as numbers: np.savez('a.npz', images=array)"
    ),
    (".raw", ".bin", ".dat"): (
        "it does not say how its numbers lie; save them with their shape: np.savez('a.npz', "
        "images=np.fromfile('a.raw', 'uint16').reshape(-1, H, W)), where '>u2' is for numbers with "
        "the most significant byte first"
    ),
    (*TABLES, *LISTS): "save it as CSV, with the columns path,patient_id,split",
    (".svs", ".ndpi", ".mrxs", ".czi", ".lif", ".scn"): (
        "save the parts of it that were trained on as PNG or TIFF"
    ),
    (".avi", ".mp4", ".mov"): "save its frames as PNG",
}
"""What to do with files of formats that memtk does not read, by their suffixes."""


HEADERS = {".img": ".hdr", ".rec": ".par", ".brik": ".head"}
"""Voxels without a header, and the file beside them that has it. Alone they say nothing (JSRT)."""

GZIP = b"\x1f\x8b"
"""What begins a file that gzip has compressed."""

STARTS = {
    **{b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif"},
    **{b"II+\0": ".tif", b"MM\0+": ".tif", b"\x93NUMPY": ".npy", b"\x89HDF": ".h5"},
    **{b"GIF8": ".gif", b"MATLAB 5": ".mat", b"NRRD0": ".nrrd", b"PK\3\4": ".zip"},
    **dict.fromkeys((b"CDF\1", b"CDF\2", b"CDF\5"), ".nc"),
    **{b"\0\0\0\x0cjP": ".jp2", b"\xff\x4f\xff\x51": ".j2k", b"7z\xbc\xaf": ".7z"},
}
"""What files begin with, of formats that memtk reads and of others."""


ALIKE = (
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jp2"),
    (".nii.gz", ".nii"),
    (".npz",),
    (".npy",),
    (".h5", ".hdf5"),
)
"""Suffixes of formats that the same library reads, by the content."""


ZARR = (".zarray", ".zgroup", "zarr.json")
"""Files in a folder that is an array of Zarr, whatever it is called."""


def is_zarr(folder: Path) -> bool:
    """Tell whether a folder is an array, or several, of Zarr."""
    return folder.name.lower().endswith(".zarr") or any((folder / n).is_file() for n in ZARR)


def way_to_read(path: Path) -> str:
    """Return what to do with a file of a format that memtk does not read; "" where it is unknown.

    >>> way_to_read(Path("a.MIF.gz"))
    'convert it to NIfTI by MRtrix: mrconvert a.mif a.nii.gz'
    """
    header = HEADERS.get(path.suffix.lower())
    alone = header and not any(path.with_suffix(h).exists() for h in (header, header.upper()))
    way = _way(".raw" if alone else path.name.lower())
    if not way and path.is_dir() and is_zarr(path):
        return _way(".zarr")
    if not way and (not path.suffix or path.suffix[1:].isdecimal()):
        with contextlib.suppress(OSError):
            if suffix := _suffix_by_content(path):
                known = suffix == ".nii.gz" or not _way(suffix)
                way = f"put {suffix} behind its name" if known else _way(suffix)
                way = f"by its content it is {suffix[1:].upper()}: {way}"
    return way


def _way(name: str) -> str:
    return next((way for suffixes, way in UNREAD.items() if name.endswith(suffixes)), "")


def _suffix_by_content(path: Path) -> str:
    """Return the suffix that a file should have, "" where that is unknown."""
    with path.open("rb") as file:
        start = file.read(4096)
    packed = start.startswith(GZIP)
    if packed:
        start = _unpacked(start, 512) or start
    if start[344:348] == b"n+1\0" or start[4:8] == b"n+2\0":
        return ".nii.gz" if packed else ".nii"
    if packed:
        return ".tgz" if start[257:262] == b"ustar" else ".gz"
    if start.startswith(b"PK\3\4") and b".npy" in start[:200]:
        return ".npz"
    if start.startswith(b"BM") and start[6:10] == bytes(4):
        return ".bmp"
    if start.startswith(b"RIFF"):
        return {b"WEBP": ".webp", b"AVI ": ".avi"}.get(start[8:12], "")
    return next((suffix for sign, suffix in STARTS.items() if start.startswith(sign)), "")


def _unpacked(start: bytes, most: int) -> bytes:
    """Return what begins a file of gzip when it is unpacked, b"" if it is none."""
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj(wbits=31).decompress(start, most)
    return b""


def what_it_is(path: Path) -> str:
    """Say what a file is that is not what it should be, "" where nothing is known."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            start = file.read(200)
    except OSError:
        return ""
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS and not the file itself: git lfs pull"
    if start.startswith(b"/annex/objects") or b".git/annex/objects" in start:
        return "it is a pointer of git-annex and not the file itself: git annex get, or datalad get"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "it is a web page, as a download without signing in gives: fetch the file again"
    if start.lstrip().startswith((b"<?xml", b'{"')):
        return "it is text, as a download that failed gives: fetch the file again"
    if start[128:132] == b"DICM" and not path.name.lower().endswith(".dcm"):
        return "it is DICOM: give it the suffix .dcm"
    packed, named = start.startswith(GZIP), path.name.lower().endswith(".gz")
    if zipfile.is_zipfile(path) and (why := why_packed(path)):
        return f"{why}: pack it again by zip, without a password"
    if packed and _unpacked(start, 2) == GZIP:
        return "it is compressed by gzip twice: unpack it once, by gunzip"
    if packed and not named:
        return "it is compressed by gzip: put .gz behind its name"
    if named and not packed:
        return "it is not compressed, or damaged: take .gz off its name if it is sound"
    suffix = _suffix_by_content(path)
    own = next((kind for kind in ALIKE if path.name.lower().endswith(kind)), ())
    if suffix in ("", ".gz", ".zip") or suffix in own:
        return ""
    way = _way(suffix) if suffix != ".nii.gz" else ""
    return f"by its content it is {suffix[1:].upper()}: {way or f'give it the suffix {suffix}'}"


def why_packed(archive: Path) -> str:
    """Say why a member of a ZIP archive cannot be unpacked here, "" where all can."""
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if member.flag_bits & 1 or member.compress_type == 99:  # AES
                return f"{ascii(member.filename)[1:-1]} is encrypted"
            if member.compress_type not in known:
                kind = f"method {member.compress_type} of ZIP, which nothing here unpacks"
                return f"{ascii(member.filename)[1:-1]} is packed by {kind}"
    return ""
