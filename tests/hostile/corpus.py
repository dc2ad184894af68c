"""Files of attackers, made by code: each class has its inputs by name, each writes one file."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from functools import cache

import h5py
import numpy as np
from foreign.cases import CASES
from foreign.dicom_cases import one
from foreign.formats import picture, tiff
from foreign.nifti_cases import nifti

BLOCK = 2**26


def deflated(size):
    """Return zeros of that size, compressed a thousandfold, without compressing all of them."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = pack.compress(bytes(BLOCK)) + pack.flush(zlib.Z_FULL_FLUSH)
    return block * (size // BLOCK) + pack.flush()


def npy_header(shape, descr="<f4", fortran=False):
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    text += b" " * (64 - (10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zip_member(name, stream, size):
    """Return a zip file of one member, of a raw stream that says its size."""
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(stream), min(size, 2**32 - 1),
                       len(name), 0)  # fmt: skip
    local = b"PK\3\4" + head + name + stream
    extra = struct.pack("<HHQ", 1, 8, size) if size >= 2**32 else b""
    central = b"PK\1\2" + struct.pack("<H", 20) + head[:-2]
    central += struct.pack("<HHHHII", len(extra), 0, 0, 0, 0, 0) + name + extra
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\5\6" + end


def stored(content, name="images.npy"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, content)
    return packed.getvalue()


def blob(name, content):
    def write(folder):
        made = content() if callable(content) else content
        (folder / name).write_bytes(made if isinstance(made, bytes) else made.encode())
        return folder / name

    return write


def changed(make, change):
    """Write a sound file, and change its bytes."""

    def write(folder):
        path = make(folder)
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(bytes(content))
        return path

    return write


def put(at, form, *values):
    def change(content):
        content[at : at + struct.calcsize(form)] = struct.pack(form, *values)

    return change


IMAGES, TABLES, ARRAYS, ARCHIVES = ({} for _ in range(4))

# a name that says one format, and a content of another or of none
SOUND = {"nii.gz": nifti("a.nii.gz"), "png": picture("a.png"), "tif": tiff(), "dcm": one()}
CONTENTS = {
    "nothing": b"", "zeros": bytes(4096), "ones": b"\xff" * 4096, "a text": b"not an image\n" * 99,
    "a web page": b"<html><body>403</body></html>", "an LFS pointer": b"version https://git-lfs\n",
    "a pickle": pickle.dumps(np.eye(3)), "a zip": zip_member(b"a", b"\3\0", 0),
}  # fmt: skip
for _suffix, (_what, _content) in itertools.product(
    ("nii", "nii.gz", "png", "jpg", "bmp", "tif", "npy", "npz", "h5", "dcm"), CONTENTS.items()
):
    IMAGES[f"{_what} as .{_suffix}"] = blob(f"a.{_suffix}", _content)


def renamed(make, suffix):
    def write(folder):
        path = make(folder)
        return path.rename(folder / f"a.{suffix}")

    return write


for (_kind, _make), _suffix in itertools.product(SOUND.items(), ("nii", "npy", "h5", "bmp")):
    IMAGES[f"a .{_kind} as .{_suffix}"] = renamed(_make, _suffix)

# sizes that are declared and not there
for _shape in ("(1000000000000, 28, 28)", "(100000, 100000)", "(-1, 8)", "(True, 8, 8)", "(2**62,)",
               "(9223372036854775807, 9223372036854775807)", "(8, 8" + ", 1" * 40 + ")",
               "(99999999999999999999999, 8)", "()", "(0, 0)", "(8.5, 8)", "None"):  # fmt: skip
    IMAGES[f".npy of {_shape[:30]}"] = blob("a.npy", npy_header(_shape) + bytes(256))
    IMAGES[f".npz of {_shape[:30]}"] = blob(
        "a.npz", lambda s=_shape: stored(npy_header(s) + bytes(256))
    )
for _descr in ("O", "<U9999999", "|V2000000000", "<f2000", "[('a', '<f4')]", "<M8[s]", "no"):
    IMAGES[f".npy of {_descr[:20]}"] = blob("a.npy", npy_header("(64, 64)", _descr) + bytes(16384))


@cache
def members(count):
    """Return an .npz of that many members, all the same bytes at different places."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number in range(count):
            file.writestr(f"{number}.npy", b"")
    return packed.getvalue()


IMAGES[".npz of 70,000 members"] = blob("a.npz", lambda: members(70_000))
IMAGES[".npz that grows to 6 GB"] = blob(
    "a.npz", lambda: zip_member(b"images.npy", deflated(6 * 2**30), 6 * 2**30))  # fmt: skip
for _dims in ((3, 32767, 32767, 32767), (7, *[32767] * 7), (-3, 8, 8, 8), (3, 0, 8, 8),
              (2, 32767, 32767, 1), (3, -1, 8, 8), (9, 8, 8, 8), (5, 8, 8, 8, 1, 999)):  # fmt: skip
    IMAGES[f".nii of {_dims}"] = changed(nifti(), put(40, f"<{len(_dims)}h", *_dims))
for _offset in (-1.0, 1e30, float("nan")):
    IMAGES[f".nii whose voxels begin at {_offset}"] = changed(nifti(), put(108, "<f", _offset))
IMAGES[".nii.gz that grows to 6 GB"] = blob(
    "a.nii.gz",
    lambda: gzip.compress(bytes(352)) + gzip.compress(bytes(BLOCK), 9) * 96,
)
for _size in ((100_000, 100_000), (2**31 - 1, 1), (0, 0), (2**31, 2**31)):
    IMAGES[f".png of {_size}"] = changed(picture("a.png"), put(16, ">2I", *_size))


def png_of(size, stream):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">2I5B", *size, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + stream(chunk) + chunk(b"IEND", b"")


_stream = b"\x78\xda"
for _what, _size, _chunks in (
    (".png of 20,000 x 20,000 that is not there", (20_000, 20_000),
     lambda c: c(b"IDAT", _stream + deflated(0))),
    (".png of 16,000,000 lines", (9, 16_000_000), lambda c: c(b"IDAT", _stream + deflated(2**27))),
    (".png whose text grows to 1 GB", (8, 8),
     lambda c: c(b"zTXt", b"a\0\0" + _stream + deflated(2**30)) + c(b"IDAT", b"")),
    (".png whose profile grows to 1 GB", (8, 8),
     lambda c: c(b"iCCP", b"a\0\0" + _stream + deflated(2**30)) + c(b"IDAT", b"")),
):  # fmt: skip
    IMAGES[_what] = blob("a.png", lambda size=_size, chunks=_chunks: png_of(size, chunks))
IMAGES[".bmp of 100,000 x 100,000"] = changed(picture("a.bmp"), put(18, "<2i", 100_000, 100_000))
IMAGES[".jpg of 65,000 x 65,000"] = changed(
    picture("a.jpg"),
    lambda c: put(c.index(b"\xff\xc0") + 5, ">2H", 65_000, 65_000)(c),
)


def pages_of(path, pairs):
    """Write a TIFF whose list of pages goes from each offset to the next."""
    content = bytearray(b"II*\0" + struct.pack("<I", pairs[0][0]) + bytes(4096))
    for at, to in pairs:
        put(at, "<HHHIII", 1, 256, 3, 1, 8, to)(content)
    path.write_bytes(bytes(content))
    return path


IMAGES[".tif whose pages go in a circle"] = lambda f: pages_of(f / "a.tif", [(8, 64), (64, 8)])
IMAGES[".tif whose page is its own next"] = lambda f: pages_of(f / "a.tif", [(8, 8)])
IMAGES[".tif whose pages lie over one another"] = lambda f: pages_of(
    f / "a.tif", [(8 + 2 * n, 10 + 2 * n) for n in range(1000)]
)
for _tag, _value in ((256, 2**31), (257, 2**31), (258, 60000), (277, 60000)):
    IMAGES[f".tif whose tag {_tag} is {_value}"] = changed(
        tiff(), lambda c, t=_tag, v=_value: put(c.index(struct.pack("<H", t), 8) + 8, "<I", v)(c)
    )
_laughs = "<!DOCTYPE OME [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in itertools.pairwise("abcdefghijkl")
)
IMAGES[".tif with a billion laughs"] = lambda folder: tiff(
    name="a.ome.tif", description=f"<?xml version='1.0'?>{_laughs}]><OME>&l;</OME>", metadata=None
)(folder)


def hdf5(make):
    def write(folder):
        with h5py.File(folder / "a.h5", "w") as file:
            make(file)
        return folder / "a.h5"

    return write


for _what, _make in {
    "10^9 rows": lambda f: f.create_dataset("images", (10**9, 64, 64), "f4", chunks=(1, 64, 64)),
    "an endless number of rows": lambda f: f.create_dataset(
        "images", (2**60, 8, 8), "u1", chunks=(1, 8, 8), maxshape=(None, 8, 8)),
    "rows without storage": lambda f: f.create_dataset("images", (9, 64, 64), "f4"),
    "one row of 10^12 voxels": lambda f: f.create_dataset(
        "images", (1, 10**6, 10**6), "u1", chunks=(1, 1000, 1000)),
    "a scalar": lambda f: f.create_dataset("images", data=3.0),
    "an empty space": lambda f: f.create_dataset("images", data=h5py.Empty("f4")),
    "texts": lambda f: f.create_dataset("images", data=[b"a", b"b"]),
    "a group": lambda f: f.create_group("images"),
    "a group that holds itself": lambda f: f.__setitem__("images", f["/"]),
    "a soft link": lambda f: f.__setitem__("images", h5py.SoftLink("/images")),
    "references": lambda f: f.create_dataset("images", (8, 8, 8), h5py.ref_dtype),
    "records": lambda f: f.create_dataset("images", (8, 8, 8), [("a", "f4"), ("b", "i2")]),
    "zeros that were 6 GB": lambda f: f.create_dataset(
        "images", (96, 8192, 8192), "u1", chunks=(1, 8192, 8192), compression="gzip", fillvalue=0),
}.items():  # fmt: skip
    IMAGES[f".h5 of {_what}"] = hdf5(_make)
for _key, _value in (("Rows", 65_000), ("NumberOfFrames", 2**31 - 1), ("BitsAllocated", 64_000),
                     ("SamplesPerPixel", 60_000), ("Rows", 0), ("BitsAllocated", 0)):  # fmt: skip
    IMAGES[f".dcm whose {_key} is {_value}"] = one(**{_key: _value})


def dicom_bomb(folder):
    path = next(c for c in CASES.values() if c.what == "deflated").write(folder)
    content = path.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    path.write_bytes(content[:end] + deflated(6 * 2**30))
    return path


IMAGES[".dcm that grows to 6 GB"] = dicom_bomb


def nested_sequences(folder):
    path = one()(folder)
    item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(path.read_bytes()[:-500] + item * 20_000)
    return path


IMAGES[".dcm with sequences 20,000 deep"] = nested_sequences
for _name in ("a.nii.gz", "a.png", "a.npz", "a.h5", "a.dcm", "IM1"):
    IMAGES[f"a pipe called {_name}"] = lambda f, n=_name: os.mkfifo(f / n) or f / n
    IMAGES[f"a device called {_name}"] = lambda f, n=_name: (f / n).symlink_to("/dev/zero") or f / n

_head = "path,patient_id,split\n"
for _what, _text in {
    "100,000 columns": ",".join(f"c{n}" for n in range(100_000)) + "\n",
    "a cell of 10 MB": _head + "a" * 10**7 + ",1,train\n",
    "an open quote": _head + '"a.npy,1,train\n' * 999,
    "a NUL": _head + "a\0.npy,1,train\n",
    "20,000 rows of nothing": _head + "no.npy,1,train\n" * 20_000,
    "no rows": _head, "nothing": "", "commas": "," * 5000 + "\n", "blank lines": "\n" * 10**6,
    "UTF-16": _head.encode("utf-16"), "no UTF-8": _head.encode() + b"\xff\xfe,1,train\n",
    "a zip": zip_member(b"xl/workbook.xml", b"\3\0", 0), "zeros": bytes(10**6),
    "a path of /dev/zero": _head + "/dev/zero,1,train\n",
    "a path of /proc/self/mem": _head + "/proc/self/mem,1,train\n",
    "a path of 10,000 parents": _head + "../" * 10_000 + "a.npy,1,train\n",
    "a path of a folder": _head + ".,1,train\n", "an empty path": _head + ",1,train\n",
    "a path of a URL": _head + "https://example.org/a.npy,1,train\n",
    "a path of itself": _head + "a.csv,1,train\n",
    "a formula": _head + "=HYPERLINK(1),1,train\n", "markup": _head + "[red]x[/red],1,train\n",
    "an unknown split": _head + "a.csv,1," + "s" * 10**5 + "\n",
    "a column twice": "path,path\na,a\n", "only semicolons": _head.replace(",", ";"),
}.items():  # fmt: skip
    TABLES[_what] = blob("a.csv", _text)


def npz(**arrays):
    def write(folder):
        np.savez(folder / "e.npz", **arrays)
        return folder / "e.npz"

    return write


_sound = dict.fromkeys(("train", "validation", "synthetic"), np.eye(6, 4))
for _what, _array in {
    "NaN": np.full((6, 4), np.nan), "infinities": np.full((6, 4), np.inf),
    "no rows": np.zeros((0, 4)),
    "no columns": np.zeros((6, 0)), "one row": np.eye(1, 4), "a scalar": np.array(3.0),
    "other columns": np.eye(6, 5), "texts": np.array([["a"] * 4] * 6),
    "objects": np.array([[None] * 4] * 6), "complex numbers": np.eye(6, 4) * 1j,
    "five axes": np.zeros((2,) * 5), "dates": np.zeros((6, 4), "M8[s]"),
    "beyond float32": np.full((6, 4), 1e300),
}.items():  # fmt: skip
    for _set in ("train", "synthetic"):
        ARRAYS[f"{_what} in {_set}"] = npz(**(_sound | {_set: _array}))
for _what, _content in {
    "10^12 rows": lambda: stored(npy_header("(1000000000000, 64)"), "train.npy"),
    "70,000 members": lambda: members(70_000),
    "6 GB": lambda: zip_member(b"train.npy", deflated(6 * 2**30), 6 * 2**30),
    "a pickle": pickle.dumps([1]), "a text": b"no", "nothing": b"",
}.items():  # fmt: skip
    ARRAYS[_what] = blob("e.npz", _content)
_ids = np.arange(6)
for _what, _more in {
    "too few patients": {"train_patients": _ids[:3]},
    "patients that are NaN": {"train_patients": _ids * np.nan},
    "patients of two axes": {"train_patients": np.zeros((6, 2))},
    "patients that are objects": {"train_patients": np.array([None] * 6)},
    "patients in both sets": {"train_patients": _ids, "validation_patients": _ids},
    "an unknown array": {"x": _ids},
}.items():
    ARRAYS[_what] = npz(**(_sound | _more))


def tar_of(*infos):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for info in infos:
            file.addfile(info)
    return packed.getvalue()


def info(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def tar_bomb():
    head = tarfile.TarInfo("a")
    head.size = 96 * BLOCK
    return gzip.compress(head.tobuf()) + gzip.compress(bytes(BLOCK), 9) * 96


ARCHIVES["6 GB in 6 MB, zip"] = blob(
    "a.zip", lambda: zip_member(b"a.npy", deflated(6 * 2**30), 6 * 2**30)
)
ARCHIVES["6 GB in 6 MB, a size that lies"] = blob(
    "a.zip", lambda: zip_member(b"a.npy", deflated(6 * 2**30), 1000)
)
ARCHIVES["6 GB in 6 MB, tar"] = blob("a.tgz", tar_bomb)
ARCHIVES |= {
    what: blob("a.tgz", lambda i=infos: tar_of(*i))
    for what, infos in {
        "a link that leads out, and a file through it": (
            info("d", tarfile.SYMTYPE, "/tmp"), info("d/pwned")),
        "a hard link to /etc/passwd": (info("p", tarfile.LNKTYPE, "/etc/passwd"),),
        "a device": (info("d", tarfile.CHRTYPE),), "a pipe": (info("p", tarfile.FIFOTYPE),),
        "an absolute name of a parent": (info("/../../pwned"),), "a parent": (info("../pwned"),),
        "a name of 1,000 letters": (info("a" * 1000),), "an empty name": (info(""),),
        "a name with a line break": (info("a\nb"),),
    }.items()
}  # fmt: skip
