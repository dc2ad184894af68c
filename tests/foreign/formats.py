"""What is read of each format and what is refused: the cases of docs/reference/formats.md."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import foreign.dicom_cases
import foreign.nifti_cases  # noqa: F401 (both enter their cases)
import h5py
import numpy as np
import tifffile
from foreign.cases import CASES, COLOUR, GRAY, STACK, VOLUME, WIDE, case, picture
from PIL import Image

__all__ = ["CASES"]


def palette(folder):
    shown = Image.fromarray(GRAY, "P")
    shown.putpalette([level for i in range(256) for level in (255 - i,) * 3])
    shown.save(folder / "a.png")
    return folder / "a.png"


def turned(folder):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(GRAY).save(folder / "a.jpg", quality=100, exif=exif)
    return folder / "a.jpg"


def alpha(value):
    pixels = np.dstack([COLOUR, np.full((24, 20), 255, np.uint8)])
    pixels[0, 0, 3] = value
    return pixels


_frames = [Image.fromarray(page) for page in STACK]
_colour = np.moveaxis(COLOUR, 2, 0)
_cmyk = np.moveaxis(np.asarray(Image.fromarray(COLOUR).convert("CMYK").convert("RGB")), 2, 0)


def png(pixels, bits, colour, *, passes=((0, 0, 1, 1),), rows=None):
    """Write a PNG as PIL does not: red, green and blue of 16 bit, interlaced, or cut short."""

    def write(folder):
        parts = [pixels[y::down, x::across] for x, y, across, down in passes]
        lines = [b"\0" + row.tobytes() for part in parts for row in part]
        size = *pixels.shape[1::-1], bits, colour, 0, 0, len(passes) > 1
        content = b"\x89PNG\r\n\x1a\n"
        for name, data in (
            (b"IHDR", struct.pack(">IIBBBBB", *size)),
            (b"IDAT", zlib.compress(b"".join(lines[:rows]))),
            (b"IEND", b""),
        ):
            content += struct.pack(">I", len(data)) + name + data
            content += struct.pack(">I", zlib.crc32(name + data))
        (folder / "a.png").write_bytes(content)
        return folder / "a.png"

    return write


BLACK = np.vstack([GRAY[:-2], np.zeros((2, 20), np.uint8)])
_deep = png(COLOUR.astype(">u2") * 257, 16, 2)
_adam7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)

for _format, _what, _write, _says, _near in (
    ("PNG", "gray, 8 bit", picture("a.png"), GRAY[None], 0),
    ("PNG", "gray, 16 bit", picture("a.png", WIDE), WIDE[None], 0),
    ("PNG", "black and white", picture("a.png", GRAY > 90), (GRAY > 90)[None], 0),
    ("PNG", "in colour", picture("a.png", COLOUR), _colour, 0),
    ("PNG", "three equal channels: gray", picture("a.png", mode="RGB"), GRAY[None], 0),
    ("PNG", "with a palette", palette, 255 - GRAY[None], 0),
    ("PNG", "an opaque alpha channel", picture("a.png", alpha(255)), _colour, 0),
    ("PNG", "transparent in part", picture("a.png", alpha(9)), "transparent", 0),
    ("PNG", "16 bit, in colour or with alpha", _deep, "8 would be lost", 0),
    ("PNG", "interlaced", png(GRAY, 8, 0, passes=_adam7), GRAY[None], 0),
    ("PNG", "black in its last row", png(BLACK, 8, 0), BLACK[None], 0),
    ("PNG", "data that end with a row before the last", png(GRAY, 8, 0, rows=12), "end before", 0),
    ("PNG", "the same, interlaced", png(GRAY, 8, 0, passes=_adam7, rows=-1), "end before", 0),
    ("PNG", "the same, in colour", png(COLOUR, 8, 2, rows=-1), "end before its last row", 0),
    ("PNG", "animated", picture("a.png", save_all=True, append_images=_frames),
     "no still picture", 0),
    ("JPEG", "gray", picture("a.jpg", quality=100), GRAY[None], 3),
    ("JPEG", "progressive", picture("a.jpg", progressive=True, quality=100), GRAY[None], 3),
    ("JPEG", "in colour", picture("a.jpg", COLOUR, quality=100, subsampling=0), _colour, 5),
    ("JPEG", "CMYK", picture("a.jpg", COLOUR, "CMYK", quality=100), _cmyk, 6),
    ("JPEG", "turned by its EXIF tag", turned, np.rot90(GRAY, -1)[None], 3),
    ("JPEG", "with a smaller preview behind it (MPO)", picture("a.jpg", format="MPO", quality=100,
     save_all=True, append_images=[_frames[1].resize((10, 12))]), GRAY[None], 3),
    ("JPEG", "of several pictures (MPO)", picture("a.jpg", format="MPO", save_all=True,
     append_images=_frames[:1]), "2 pictures in a file are no still picture: save one", 0),
    ("BMP", "gray", picture("a.bmp"), GRAY[None], 0),
    ("BMP", "in colour", picture("a.bmp", COLOUR), _colour, 0),
):  # fmt: skip
    case(_format, _what, _says, _near)(_write)


def tiff(pixels=GRAY, name="a.tif", **how):
    def write(folder):
        tifffile.imwrite(folder / name, pixels, **({"photometric": "minisblack"} | how))
        return folder / name

    return write


def many_pages(folder):
    with tifffile.TiffWriter(folder / "a.tif") as file:
        for _ in range(10_001):
            file.write(GRAY, contiguous=False, metadata=None)
    return folder / "a.tif"


def two_sizes(folder):
    with tifffile.TiffWriter(folder / "a.tif") as file:
        file.write(GRAY, photometric="minisblack")
        file.write(GRAY[:9], photometric="minisblack")
    return folder / "a.tif"


_map = np.stack([np.arange(256, dtype=np.uint16)[::-1] * 257] * 3)
_ome = {"ome": True, "metadata": {"axes": "TYX"}}
_pages = np.concatenate([STACK, 255 - STACK])
for _what, _write, _says in (
    ("gray, 8 bit", tiff(), GRAY[None]),
    ("gray, 16 bit", tiff(WIDE), WIDE[None]),
    ("real numbers", tiff(GRAY.astype(np.float32) / 3), GRAY[None] / np.float32(3)),
    ("most significant byte first", tiff(WIDE, byteorder=">"), WIDE[None]),
    ("BigTIFF", tiff(bigtiff=True), GRAY[None]),
    ("in tiles", tiff(np.tile(GRAY, (3, 3)), tile=(32, 32)), np.tile(GRAY, (3, 3))[None]),
    ("compressed by Deflate", tiff(compression="zlib"), GRAY[None]),
    ("compressed by LZW", picture("a.tif", compression="tiff_lzw"), GRAY[None]),
    ("compressed by PackBits", picture("a.tif", compression="packbits"), GRAY[None]),
    ("in colour", tiff(COLOUR, photometric="rgb"), _colour),
    ("in colour, plane by plane", tiff(_colour, photometric="rgb", planarconfig="separate"),
     _colour),
    ("a negative (MinIsWhite)", tiff(photometric="miniswhite"), 255 - GRAY[None]),
    ("with a palette", tiff(photometric="palette", colormap=_map), (255 -
     GRAY[None].astype(np.uint16)) * 257),
    ("pages of one size: a volume", tiff(_pages), _pages[None]),
    ("pages of up to four rows, columns or pages: channels or slices", tiff(_colour),
     "as short as that of channels"),
    ("five channels and more", tiff(np.dstack([COLOUR, COLOUR]), photometric="rgb",
     extrasamples=["unspecified"] * 3), "6 channels are neither gray nor colours"),
    ("pages that are time points", tiff(_pages, "a.ome.tif", **_ome), "save one file a picture"),
    ("pages of different sizes, kinds of number, colours or turns", two_sizes,
     "its pages differ in size"),
    ("more than 10,000 pages", many_pages, "its pages are more than memtk takes (10,000)"),
    ("in CIELAB", tiff(COLOUR, photometric="cielab"), "photometric interpretation) are CIELAB"),
    ("with ImageJ's calibration, by which it keeps negative numbers", tiff(WIDE, metadata=None,
     description="ImageJ=1.53\ncf=0\nc0=-32768\nc1=1\n"), WIDE[None] - 32768.0),
    ("a negative of real numbers", tiff(GRAY / np.float32(3), photometric="miniswhite"),
     "a negative (MinIsWhite)"),
):  # fmt: skip
    case("TIFF", _what, _says)(_write)


@case("TIFF", "16 bit, compressed by Zstandard", "pip install imagecodecs",
      install="imagecodecs")  # fmt: skip
def zstd_tiff(folder):
    path = tiff(WIDE, compression="zlib")(folder)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["Compression"].overwrite(34926)
    return path


@case(
    "TIFF",
    "compressed by SGI's logarithms, and others without a decoder",
    "(SGILOG): none is known",
)
def sgilog(folder):
    path = tiff(compression="zlib")(folder)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["Compression"].overwrite(34676)
    return path


def packed(method, flags=0):
    """A .npz whose members are said to be packed so."""

    def write(folder):
        content = bytearray(npz(images=STACK)(folder).read_bytes())
        for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            struct.pack_into("<HH", content, content.index(mark) + place, flags, method)
        (folder / "a.npz").write_bytes(content)
        return folder / "a.npz"

    return write


def npy(array, behind=None):
    def write(folder):
        with open(folder / "a.npy", "wb") as file:
            np.save(file, array, allow_pickle=True)
            if behind is not None:
                np.save(file, behind)
        return folder / "a.npy"

    return write


def npz(save=np.savez, **arrays):
    def write(folder):
        save(folder / "a.npz", **arrays)
        return folder / "a.npz"

    return write


_object = np.array([None, 1], dtype=object)
for _what, _write, _says in (
    (".npy of (H, W)", npy(GRAY), GRAY[None]),
    (".npy of (H, W, 3)", npy(COLOUR), _colour),
    (".npy of (D, H, W)", npy(VOLUME), VOLUME[None]),
    (".npy in Fortran's order", npy(np.asfortranarray(VOLUME)), VOLUME[None]),
    (".npy, most significant byte first", npy(VOLUME.astype(">i4")), VOLUME[None]),
    (".npy of truth values", npy(GRAY > 90), (GRAY > 90)[None]),
    (".npz with `images` or MedMNIST's names, one image a row", npz(train_images=STACK), STACK[:1]),
    (".npz, compressed", npz(np.savez_compressed, images=STACK), STACK[:1]),
    (".npz with one image an array", npz(a=GRAY, b=255 - GRAY), GRAY[None]),
    (".npz with `label`, `seg`, `affine` beside an image", npz(label=GRAY, image=GRAY),
     "left out: labels or masks"),
    (".npy with another array behind the first", npy(GRAY, behind=GRAY), "more than one array"),
    (".npy of many images", npy(np.stack([VOLUME] * 9)), "call their array images"),
    (".npy of (1, C, H, W) or (1, H, W, C): one image", npy(COLOUR[None]), _colour),
    (".npy of (N, 1, H, W), (N, H, W, 1) or (N, H, W, 3)", npy(STACK[:, None]),
     "for many images in one file"),
    (".npy of (H, W, 2), (2, H, W) or (4, H, W): channels or slices", npy(COLOUR[..., :2]),
     "or one of few slices, (1, 1, D, H, W)"),
    (".npz with `images` of (N, H, W, 4): colours, where the fourth is opaque",
     npz(images=alpha(255)[None]), _colour),
    (".npz with `images` of (N, 2, H, W), (N, 4, H, W), (N, H, W, 2): channels or slices",
     npz(images=STACK[None]), "does not say which axis holds channels"),
    (".npz with `images` of (N, 1, D, H, W): a volume a row, of few slices too",
     npz(images=STACK[None, None]), STACK[None]),
    (".npz with `images` of (H, W, N)", npz(images=np.zeros((24, 24, 30))), "np.moveaxis"),
    (".npz that is encrypted", packed(99, 1), "images.npy is encrypted"),
    (".npz packed by other methods of ZIP", packed(97), "images.npy is packed by method 97"),
    ("pickled objects", npy(_object), "np.stack(list_of_arrays)"),
    ("complex numbers", npy(GRAY * 1j), "is no image"),
):  # fmt: skip
    case("NumPy", _what, _says)(_write)


def hdf5(make):
    def write(folder):
        with h5py.File(folder / "a.h5", "w") as file:
            make(file)
        return folder / "a.h5"

    return write


def virtual(file):
    with h5py.File(Path(file.filename).with_name("other.hdf"), "w") as other:
        other["x"] = STACK
    layout = h5py.VirtualLayout(STACK.shape, STACK.dtype)
    layout[:] = h5py.VirtualSource("other.hdf", "x", STACK.shape)
    file.create_virtual_dataset("images", layout)


def soft(file):
    file["data/x"], file["images"] = STACK, h5py.SoftLink("/data/x")


def linked(file):
    file["images"] = h5py.ExternalLink("other.hdf", "x")


_chunks = {"data": STACK, "chunks": (1, 24, 20)}
for _what, _make, _says in (
    ("`images`, `train`, `val`, `test` or MedMNIST's names, one image a row", lambda file:
     file.create_dataset("images", data=STACK), STACK[:1]),
    ("compressed by gzip", lambda f: f.create_dataset("train", **_chunks, compression="gzip"),
     STACK[:1]),
    ("compressed by LZF, shuffled", lambda f: f.create_dataset("images", **_chunks,
     compression="lzf", shuffle=True), STACK[:1]),
    ("one volume a row", lambda f: f.create_dataset("images", data=VOLUME[None]), VOLUME[None]),
    ("a soft link within the file", soft, STACK[:1]),
    ("a soft link to nothing, or in a circle", lambda f: f.__setitem__("images",
     h5py.SoftLink("/images")), "is not a dataset of this file"),
    ("datasets of other names", lambda f: f.create_dataset("scans", data=STACK),
     "np.savez('a.npz', images=array)"),
    ("numbers that mean something else by an attribute (scale_factor, IMAGE_WHITE_IS_ZERO)",
     lambda f: f.create_dataset("images", data=STACK).attrs.create("scale_factor", 2.0),
     "the attribute scale_factor"),
    ("a dataset that was never filled", lambda f: f.create_dataset("images", (9, 24, 20),
     "u1", chunks=(1, 24, 20)), "never filled"),
    ("a link into another file", linked, "is not a dataset of this file"),
    ("voxels of another file (virtual, external)", virtual, "from another file"),
):  # fmt: skip
    case("HDF5", _what, _says)(hdf5(_make))


@case("HDF5", "compressed by Zstandard, Blosc or another filter of hdf5plugin",
      "pip install hdf5plugin", install="hdf5plugin")  # fmt: skip
def zstd_hdf5(folder):
    path = hdf5(lambda f: f.create_dataset("images", **_chunks, compression="gzip"))(folder)
    content = path.read_bytes()  # the filter's number in its message: gzip is 1
    at = content.index(b"deflate") - 8
    path.write_bytes(content[:at] + (32015).to_bytes(2, "little") + content[at + 2 :])
    return path


def blob(name, content=b"\0" * 99):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


for _what, _name, _says in (
    ("NRRD, MetaImage, Analyze, MGH, MINC", "a.nrrd", "convert it to NIfTI"),
    ("GIF, WebP, JPEG 2000, HEIC, PNM, TGA, PSD", "a.gif", "save it as PNG"),
    ("archives", "a.zip", "unpack it"),
    ("pickles, checkpoints, MATLAB, Zarr", "a.mat", "np.savez"),
    ("Parquet", "a.parquet", "if it lists images, save it as CSV"),
    ("spreadsheets", "a.xlsx", "save it as CSV"),
    ("whole slides", "a.svs", "save the parts of it"),
    ("videos", "a.mp4", "save its frames as PNG"),
):  # fmt: skip
    case("others", _what, _says)(blob(_name))
_lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
case("others", "pointers of Git LFS", "git lfs pull")(blob("a.nii.gz", _lfs))
case("others", "pointers of git-annex", "datalad get")(blob("a.nii.gz", b"/annex/objects/x"))
case("others", "web pages in the place of files", "web page")(blob("a.png", b"<!DOCTYPE html>"))
case("others", "answers of servers in the place of files", "a download that failed")(
    blob("a.png", b'{"message": "Not Found"}'))  # fmt: skip
case("others", "another format than the name says", "give it the suffix .png")(
    lambda folder: picture("a.png")(folder).rename(folder / "a.nii"))  # fmt: skip
case("others", "empty files", "it is empty")(blob("a.h5", b""))
