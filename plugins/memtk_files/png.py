"""PNG: gray ones read in two thirds of PIL's time, and the damage that PIL reads on over."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from PIL import Image

from memtk import UserError
from memtk.data.readers import check_size

ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""First column and row, and steps to the next, of each pass of an interlaced PNG."""

GRAY = {8: ("L", "L"), 16: ("I;16", "I;16B")}
"""What PIL calls a gray PNG of so many bits, and how its rows are stored."""

PLAIN = frozenset({b"IDAT", b"IEND", b"pHYs", b"tIME", b"gAMA", b"cHRM", b"sRGB", b"sBIT"})
"""Chunks of a PNG that change nothing of its numbers."""

WORDS = re.compile(
    rb"tEXt(?:Title|Author|Description|Copyright|Software|Comment|Source|date:|Crea)"
)
"""How texts begin that do not either: others say how a picture is turned."""

BLOCK = 2**16 - 1
"""Most bytes of a block of deflate that is stored as it is."""


def plain_png(path: Path) -> np.ndarray | None:
    """Return a gray PNG (H, W) of 8 or 16 bit, in two thirds of PIL's time; None of what is not.

    ISA-L unpacks the data, and PIL, given them as blocks that are stored, undoes the filters. A
    file that is interlaced, damaged or has chunks that may change its numbers is PIL's.
    """
    with path.open("rb") as file:
        start = file.read(33)
        if len(start) < 33 or start[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
            return None
        if isal_zlib.crc32(start[12:29]).to_bytes(4, "big") != start[29:]:
            return None
        width, height, bits, *kind = struct.unpack_from(">IIBBBBB", start, 16)
        if bits not in GRAY or any(kind) or not width * height:
            return None
        check_size(path, (height, width, 1), bits // 8)
        size = height * (1 + width * bits // 8)
        if path.stat().st_size > 2 * size + BLOCK:
            return None
        body = start + file.read()
    data = _data_of(body)
    unpack = isal_zlib.decompressobj()
    try:
        rows = unpack.decompress(data, size + 1) if data else b""
        if len(rows) != size or not unpack.eof:
            return None
        mode, stored = GRAY[bits]
        return np.asarray(Image.frombytes(mode, (width, height), _stored(rows), "zip", stored))
    except (IsalError, ValueError, OSError):  # type: ignore[misc]
        return None


def _data_of(body: bytes) -> bytes:
    """Return the packed data of a PNG that is whole and has plain chunks only; else nothing."""
    at, found, before = 33, list[bytes](), b"IHDR"
    while at + 12 <= len(body):
        size, name = struct.unpack_from(">I4s", body, at)
        chunk, crc = body[at + 4 : at + 8 + size], body[at + 8 + size : at + 12 + size]
        if not (name in PLAIN or WORDS.match(chunk)):
            return b""
        if isal_zlib.crc32(chunk).to_bytes(4, "big") != crc:
            return b""
        if name == b"IEND":
            return b"".join(found)
        if name == b"IDAT":
            if found and before != name:
                return b""
            found.append(chunk[4:])
        at, before = at + 12 + size, name
    return b""


def _stored(data: bytes) -> bytes:
    """Return data as zlib stores them unpacked (RFC 1950, 1951)."""
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(data), BLOCK):
        block = memoryview(data)[start : start + BLOCK]
        last = start + len(block) == len(data)
        parts += struct.pack("<BHH", last, len(block), BLOCK - len(block)), block
    return b"".join((*parts, isal_zlib.adler32(data).to_bytes(4, "big")))


def check_png(path: Path, picture: Image.Image) -> None:
    """Refuse a PNG whose data are damaged or end before its last row: PIL reads on all the same."""
    last = picture.crop((0, picture.height - 1, picture.width, picture.height))
    whole = bool(last.getbbox(alpha_only=False)) and not picture.info.get("interlace")
    inflate, row, missing = zlib.decompressobj(), struct.Struct(">IIBBxxB"), 0
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
            body = file.read(int.from_bytes(head[:4], "big"))
            if head[4:] == b"IHDR":
                missing = 0 if whole else _size_unpacked(*row.unpack_from(body))
            damaged = file.read(4) != zlib.crc32(body, zlib.crc32(head[4:])).to_bytes(4, "big")
            if head[4:] == b"IDAT" and damaged:
                raise UserError(f"cannot read {path}: its data are damaged: get the file again")
            if head[4:] == b"IDAT" and missing and not inflate.eof:
                missing -= len(inflate.decompress(body, missing))
    if missing:
        raise UserError(f"cannot read {path}: its data end before its last row: get the file again")


def _size_unpacked(width: int, height: int, bits: int, colour: int, interlaced: int) -> int:
    """Return how many bytes the data of a PNG are, by its header."""
    bits *= {2: 3, 4: 2, 6: 4}.get(colour, 1)
    sizes = [
        ((height - y + down - 1) // down, (width - x + across - 1) // across)
        for x, y, across, down in (ADAM7 if interlaced else ((0, 0, 1, 1),))
    ]
    return sum(rows * (1 + -(-columns * bits // 8)) for rows, columns in sizes if columns)
