"""Damaged files, made from sound ones: bytes changed by a seed, within compression too."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import shutil
import struct
import zipfile
import zlib

import numpy as np
from foreign.formats import CASES

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.layouts import read_source
from memtk.data.readers import Readers

ODD = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers that fields of headers don't expect."""

HEADER = 512
"""Half of all changes are within so many bytes from the beginning, where headers are."""

PNG = b"\x89PNG\r\n\x1a\n"


def mutated(content: bytes, seed: int) -> bytes:
    """Return a file of one to eight changes, the same for a seed.

    Every other file in gzip, zip or PNG is changed inside, and its check sums are set right: else
    no change would get past them.

    >>> mutated(bytes(9), 1) == mutated(bytes(9), 1) != mutated(bytes(9), 2)
    True
    """
    draw = random.Random(seed)
    inside = draw.random() < 0.5
    if inside and content[:2] == b"\x1f\x8b":
        return gzip.compress(_changed(gzip.decompress(content), draw), 1, mtime=0)
    if inside and content[:4] == b"PK\x03\x04":
        with contextlib.suppress(RuntimeError):  # encrypted, or packed by an unknown method
            return _zipped(content, draw)
    if inside and content[:8] == PNG:
        return _png(content, draw)
    return _changed(content, draw)


def _changed(content: bytes, draw: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
        at = draw.randrange(max(1, min(len(made), draw.choice((HEADER, len(made) or 1)))))
        length = draw.choice((1, 2, 4, 8, 16, 256))
        way = draw.randrange(8)
        if way < 2:
            made[at : at + 1] = bytes((draw.randrange(256),))
        elif way < 4:
            number = draw.choice(ODD).to_bytes(8, draw.choice(("little", "big")))
            size = draw.choice((1, 2, 4, 8))
            made[at : at + size] = number[:size] if draw.random() < 0.5 else number[-size:]
        elif way == 4:
            del made[at : at + length]
        elif way == 5:
            made[at:at] = made[at : at + length]
        elif way == 6:
            made[at : at + length] = draw.choice((b"\0", b"\xff", b"9", b"(")) * length
        else:
            del made[at + draw.randrange(1 + len(made) - at) :]
    return bytes(made)


def _zipped(content: bytes, draw: random.Random) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        members = old.infolist()
        chosen = draw.randrange(len(members))
        for number, member in enumerate(members):
            data = old.read(member)
            new.writestr(
                zipfile.ZipInfo(member.filename),
                _changed(data, draw) if number == chosen else data,
                compress_type=member.compress_type,
            )
    return packed.getvalue()


def _png(content: bytes, draw: random.Random) -> bytes:
    """Change the data of a chunk, or the pixels within it."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    chosen = draw.randrange(len(chunks))
    made = PNG
    for number, (kind, data) in enumerate(chunks):
        if number == chosen:
            whole = kind == b"IDAT" and sum(name == kind for name, _ in chunks) == 1
            data = (
                zlib.compress(_changed(zlib.decompress(data), draw))
                if whole
                else _changed(data, draw)
            )
        made += struct.pack(">I", len(data)) + kind + data
        made += struct.pack(">I", zlib.crc32(kind + data))
    return made


TABLES = (
    b"path,patient_id,split\na.npy,1,train\nb.npy,2,val\n",
    b'\xef\xbb\xbfpath,item,patient_id,site\r\n"a.npy",,"p,1",x\r\nb.npy,,p2,\r\n',
)


FORMATS = [*dict.fromkeys(case.format for case in CASES.values() if case.format != "others")]
FORMATS += ["DICOM series", "manifest"]


def examples(name, top):
    """Write the sound files of a format into a folder; give their paths."""
    made = []
    if name == "manifest":
        for number, table in enumerate(TABLES):
            (top / f"{number}.csv").write_bytes(table)
            made.append(top / f"{number}.csv")
        return made
    series = name == "DICOM series"
    for number, case in enumerate(CASES.values()):
        if case.format == name.removesuffix(" series") and not case.install:
            (top / str(number)).mkdir()
            path = case.write(top / str(number))
            if path.is_dir() == series:
                made.append(path)
    return made


def damaged(source, seed, folder):
    """Write one damaged file, in a series among sound ones; give what is to be read."""
    if not source.is_dir():
        target = folder / source.name
        target.write_bytes(mutated(source.read_bytes(), seed))
        return target
    shutil.copytree(source, folder / "s")
    files = sorted((folder / "s").iterdir())
    target = files[seed % len(files)]
    target.write_bytes(mutated(target.read_bytes(), seed))
    return folder / "s"


def read(path, registry):
    """Read what a damaged file still holds; a `UserError` refuses it."""
    readers = Readers(registry)
    if path.suffix == ".csv":
        for name in "ab":
            np.save(path.with_name(f"{name}.npy"), np.zeros((8, 8)))
        read_source(str(path), build(DataConfig, {"source": str(path)}, where="data"), readers)
        return
    for record in list(readers.records(path))[:3]:
        if not record.left_out:
            volume = readers.read(record)
            axes = volume.voxels.ndim - 1
            sound = len(volume.spacing) == axes and all(0 < s < 1e9 for s in volume.spacing)
            if not sound:
                raise AssertionError(f"spacing {volume.spacing} of {axes} axes")
