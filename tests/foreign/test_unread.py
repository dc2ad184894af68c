"""Files of formats that are not read: each is named, with the way out."""

from __future__ import annotations

import pytest

FOUND = "images are found"


def counts(groups):
    return {name: g.images for name, g in groups.items() if g.images}


@pytest.mark.parametrize(
    ("name", "way"),
    [("a.nrrd", "NIfTI"), ("a.mha", "NIfTI"), ("a.gif", "PNG"), ("a.zip", "unpack it"),
     ("a.pt", "np.savez"), ("a.xlsx", "CSV"), ("a.svs", "TIFF"), ("a.webp", "PNG"),
     ("a.vtk", "NIfTI"), ("a.jxl", "PNG"), ("a.avif", "PNG"), ("a.nii.bz2", "unpack it"),
     ("a.tar.zst", "unpack it"), ("a.fits", "np.savez"), ("a.raw", "np.fromfile"),
     ("a.lif", "TIFF"), ("a.mgz", "nibabel"), ("a.HEAD", "nibabel"), ("a+orig.BRIK.gz", "nibabel"),
     ("a.PAR", "nibabel"), ("a.mif", "mrconvert"), ("a.mif.gz", "mrconvert"),
     ("a.nc", "np.savez"), ("a.b2nd", "np.savez"), ("a.hdf", "np.savez"), ("A.LJPEG", "PNG"),
     ("a.tga", "PNG"), ("a.jpx", "PNG"), ("a.psd", "PNG"), ("a.pbm", "PNG"),
     ("a.img.gz", "nibabel"), ("a.HDR.gz", "nibabel"), ("a.parquet", "save it as CSV"),
     ("b.parquet", "np.savez")],
)  # fmt: skip
def test_formats_that_are_not_read_come_with_a_way_out(tmp_path, check, name, way):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_bytes(b"x" * 300)
    for source in (tmp_path / "d", tmp_path / "d" / name):
        found = check(source)[1][FOUND]
        assert found.outcome == "refused" and way in found.found
        assert "unknown format" not in found.found


@pytest.mark.parametrize("pair", ["JPCLN001.IMG JPCLN001.HDR", "a.img a.hdr", "a.REC a.PAR"])
def test_voxels_without_their_header_say_nothing_of_how_they_lie(tmp_path, check, pair):
    voxels, header = pair.split()
    (tmp_path / voxels).write_bytes(bytes(range(256)))
    for source in (tmp_path, tmp_path / voxels):
        found = check(source)[1][FOUND].found
        assert "does not say how its numbers lie" in found and "'>u2'" in found
    (tmp_path / header).write_bytes(bytes(348))
    assert "nibabel" in check(tmp_path)[1][FOUND].found


def said_beside_a_picture(folder, tmp_path, png, check):
    """A folder that is not read is refused alone; return what is said of it beside a picture."""
    for source in (tmp_path, folder):
        found = check(source)[1][FOUND]
        assert found.outcome == "refused" and "np.savez" in found.found
    png(tmp_path / "b.png", 1)
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 1}
    return found[FOUND].found


def test_a_folder_of_zarr_is_one_thing_that_is_not_read(tmp_path, png, check):
    (tmp_path / "a.zarr" / "0").mkdir(parents=True)
    (tmp_path / "a.zarr" / "0" / "0").write_bytes(b"x")
    assert (
        "1 file may hold images that memtk does not read and is left out: 1 .zarr; save"
    ) in said_beside_a_picture(tmp_path / "a.zarr", tmp_path, png, check)


@pytest.mark.parametrize("mark", [".zarray", ".zgroup", "zarr.json"])
def test_a_folder_of_zarr_is_known_whatever_it_is_called(tmp_path, png, check, mark):
    for place in ("images", "images/c"):
        (tmp_path / place).mkdir()
        for name in (mark, "0", "1"):
            (tmp_path / place / name).write_bytes(b"{}")
    said = said_beside_a_picture(tmp_path / "images", tmp_path, png, check)
    assert "does not read and is left out: 1 images; save" in said
