"""Pictures of which a part is missing or too large, of other suffixes, with axes of one voxel."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from memtk.errors import UserError


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("rest", [b"\0", b"\x55", b"\xff"])
def test_a_png_of_which_a_part_was_never_written_is_refused(tmp_path, image, read, share, rest):
    Image.fromarray(image(1, (128, 128))).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    kept = int(share * len(content))
    (tmp_path / "a.png").write_bytes(content[:kept] + rest * (len(content) - kept))
    with pytest.raises(UserError, match="cannot read .*a.png: it.* (damaged|end before)"):
        read(tmp_path / "a.png")


def gray_png(rng, chunks=()):
    """A gray PNG of any size, bits, filters and pieces of data, as the specification has it."""
    bits = int(rng.choice([8, 16]))
    height, width = (int(n) for n in rng.integers(8, 90, 2))
    size = width * bits // 8
    rows = [bytes([rng.integers(5), *rng.integers(0, 256, size).tolist()]) for _ in range(height)]
    packed = zlib.compress(b"".join(rows), int(rng.integers(0, 10)))
    cuts = sorted(rng.integers(0, len(packed), rng.integers(0, 4)).tolist())
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    listed = [(b"IHDR", head), *chunks, *((b"IDAT", part) for part in parts), (b"IEND", b"")]
    return listed


def as_png(chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def shown(path):
    """The pixels as PIL has them; None where it reads none."""
    try:
        with Image.open(path) as file:
            return np.asarray(file)
    except (OSError, ValueError, SyntaxError):
        return None


CHUNKS = [
    ("tEXt", b"Software\0memtk"),
    ("pHYs", b"\0\0\x0b\x13\0\0\x0b\x13\1"),
    ("tEXt", b"Raw profile type exif\0\nexif\n0\n"),
    ("gAMA", b"\0\0\xb1\x8f"),
]


@pytest.mark.parametrize("seed", range(40))
def test_a_gray_png_is_what_pil_shows(tmp_path, read, seed):
    rng = np.random.default_rng(seed)
    name, body = CHUNKS[seed % 4]
    (tmp_path / "a.png").write_bytes(as_png(gray_png(rng, [(name.encode(), body)])))
    voxels = read(tmp_path / "a.png").voxels[0]
    assert voxels.dtype.kind == "u" and np.array_equal(voxels, shown(tmp_path / "a.png"))


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_gray_png_whose_sums_are_right_is_refused_or_what_pil_shows(tmp_path, read, seed):
    rng = np.random.default_rng(seed)
    chunks = gray_png(rng)
    at = int(rng.integers(0 if seed % 4 == 0 else 1, len(chunks) - 1))
    name, body = chunks[at]
    body = bytearray(body or b"\0")
    body[rng.integers(len(body))] ^= 1 << int(rng.integers(8))
    chunks[at] = name, bytes(body)[: len(body) - seed % 2]
    (tmp_path / "a.png").write_bytes(as_png(chunks))
    try:
        voxels = read(tmp_path / "a.png").voxels
    except UserError as error:
        assert "a.png" in str(error)
    else:
        assert np.array_equal(voxels[0], shown(tmp_path / "a.png"))


@pytest.mark.parametrize("part", ["interlaced", "transparent", "turned", "turned by a text"])
def test_what_a_gray_png_says_of_itself_is_not_passed_over(tmp_path, image, read, part):
    pixels = image(1, (40, 50))
    if part == "interlaced":
        chunks = gray_png(np.random.default_rng(0))
        chunks[0] = b"IHDR", chunks[0][1][:-1] + b"\1"
        (tmp_path / "a.png").write_bytes(as_png(chunks))
        with pytest.raises(UserError, match="a.png"):
            read(tmp_path / "a.png")
    elif part == "transparent":
        Image.fromarray(pixels).save(tmp_path / "a.png", transparency=int(pixels[0, 0]))
        with pytest.raises(UserError, match="transparent"):
            read(tmp_path / "a.png")
    else:
        exif = Image.Exif()
        exif[274] = 6
        told = PngInfo()
        raw = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
        told.add_text("Raw profile type exif", f"\nexif\n{len(raw):8d}\n{raw.hex()}\n")
        said = {"exif": exif} if part == "turned" else {"pnginfo": told}
        Image.fromarray(pixels).save(tmp_path / "a.png", **said)
        assert np.array_equal(read(tmp_path / "a.png").voxels[0], np.rot90(pixels, -1))


def test_zeros_behind_a_png_are_not_read_one_by_one(tmp_path, image, read):
    Image.fromarray(image(1)).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb+") as file:
        file.truncate(2**34)
    assert np.array_equal(read(tmp_path / "a.png").voxels[0], image(1))


def test_a_png_whose_data_grow_beyond_its_size_takes_no_more_memory(tmp_path, image, read):
    black = np.zeros((32, 32), np.uint8)
    black[:9] = image(1)[:9]
    Image.fromarray(black).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in black) + bytes(2**28))
    part = len(data).to_bytes(4, "big") + b"IDAT" + data
    part += zlib.crc32(part[4:]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content[:33] + part + content[-12:])
    tracemalloc.start()
    assert np.array_equal(read(tmp_path / "a.png").voxels[0], black)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_a_tiff_of_webp_names_its_decoder_and_says_nothing_else(tmp_path, image, read, capfd):
    tifffile.imwrite(tmp_path / "a.tif", image(1))
    content = (tmp_path / "a.tif").read_bytes()
    at = content.index(b"\x03\x01\x03\0\x01\0\0\0") + 8  # the tag of the compression
    content = content[:at] + (50001).to_bytes(2, "little") + content[at + 2 :]
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UserError, match="not installed .WEBP.: pip install imagecodecs"):
        read(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPG"])
def test_a_jpeg_of_any_of_its_suffixes_is_a_picture(tmp_path, image, check, suffix):
    for i in range(3):
        Image.fromarray(image(i)).save(tmp_path / f"{i}.{suffix}", "JPEG")
    assert check(tmp_path, validation=0)[0]["training"].images == 3


@pytest.mark.parametrize("shape", [(32, 40, 1), (1, 32, 40), (1, 32, 40, 1), (1, 1, 32, 40)])
def test_axes_of_one_voxel_in_a_tiff_are_none(tmp_path, image, read, shape):
    px = image(1, (32, 40))
    tifffile.imwrite(tmp_path / "a.tif", px.reshape(shape), photometric="minisblack")
    assert np.array_equal(read(tmp_path / "a.tif").voxels, px[None])


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [75, 95, 100])
def test_a_tiff_of_jpeg_is_read_as_pil_reads_it(tmp_path, read, image, mode, quality):
    pixels = np.dstack([image(n) for n in range(3)]) if mode == "RGB" else image(1)
    Image.fromarray(pixels).save(tmp_path / "a.tif", compression="jpeg", quality=quality)
    shown = np.asarray(Image.open(tmp_path / "a.tif"))
    assert np.array_equal(read(tmp_path / "a.tif").voxels, np.atleast_3d(shown).transpose(2, 0, 1))


def jpeg(pixels, scans):
    """Return a progressive JPEG that says its last scan again and again."""
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "JPEG", progressive=True, quality=95)
    data = made.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.png", "a.dcm"])
@pytest.mark.parametrize("scans", [20, 100, 101, 5000])
def test_a_jpeg_of_more_scans_than_any_picture_has_is_refused(
    tmp_path, image, dcm, read, name, scans
):
    px, path = image(1), tmp_path / name
    data = jpeg(px, scans)
    if name == "a.dcm":
        dcm(path, px, modality="DX", bits=8)
        file = pydicom.dcmread(path)
        file.file_meta.TransferSyntaxUID, file.PixelData = JPEGBaseline8Bit, encapsulate([data])
        file["PixelData"].VR = "OB"
        file.save_as(path)
    else:
        path.write_bytes(data)
    if scans > 100:
        with pytest.raises(UserError, match=f"{name}: its JPEG has more than 100 scans"):
            read(path)
    else:
        assert np.abs(read(path).voxels[0] - px.astype(int)).mean() < 20  # each refines the last


def test_zeros_in_a_jpeg_are_not_held_in_memory(tmp_path, image, read):
    data = jpeg(image(1), 10)
    (tmp_path / "a.jpg").write_bytes(data[:-2])
    with (tmp_path / "a.jpg").open("rb+") as file:
        file.truncate(2**30)
    tracemalloc.start()
    with contextlib.suppress(UserError):
        read(tmp_path / "a.jpg")
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("others", "refused"),
    [([(64, 64)], True), ([(20, 20), (64, 64)], True), ([(64, 48)], True), ([(99, 20)], True),
     ([(20, 20)], False), ([(20, 20), (8, 8)], False)],
)  # fmt: skip
def test_a_second_picture_of_a_jpeg_is_no_more_left_out_than_that_of_a_tiff(
    tmp_path, image, read, others, refused
):
    first, *behind = [Image.fromarray(image(n, size)) for n, size in enumerate([(64, 64), *others])]
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=behind)
    first.save(tmp_path / "b.jpg", format="JPEG")
    if refused:
        with pytest.raises(UserError, match=f"{len(others) + 1} pictures in a file .*one file a"):
            read(tmp_path / "a.jpg")
    else:
        assert np.array_equal(read(tmp_path / "a.jpg").voxels, read(tmp_path / "b.jpg").voxels)


def test_a_jpeg_whose_second_picture_was_left_out_is_read(tmp_path, image, read):
    first, second = (Image.fromarray(image(n, (64, 64))) for n in range(2))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: content.index(b"\xff\xd9") + 2])
    first.save(tmp_path / "b.jpg", format="JPEG")
    assert np.array_equal(read(tmp_path / "a.jpg").voxels, read(tmp_path / "b.jpg").voxels)
