"""The size of a pixel as headers say it: ultrasound, TIFF by OME and ImageJ, HDF5, slices."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from pydicom.dataset import Dataset

from memtk.errors import UserError

SPACING = "voxels have one size"
READ = "images can be read"


def region(rows=0.02, columns=0.03, units=3, form=1):
    item = Dataset()
    item.RegionSpatialFormat, item.PhysicalUnitsXDirection = form, units
    item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = columns, rows
    return item


REGIONS = {
    "one": ([region()], (0.2, 0.3)),
    "one that is mirrored": ([region(-0.02, -0.03)], (0.2, 0.3)),
    "two of one scale": ([region(), region(0.02001, 0.03)], (0.2, 0.3)),
    "beside a Doppler spectrum": ([region(9, 9, units=4, form=3), region()], (0.2, 0.3)),
    "beside a scale of colours": ([region(), region(1, 1, form=5)], (0.2, 0.3)),
    "a spectrum alone": ([region(9, 9, units=4, form=3)], (1, 1)),
    "without units": ([region(units=0)], (1, 1)),
    "with units and no size": ([region(0, 0)], (1, 1)),
    "none": ([], (1, 1)),
}


@pytest.mark.parametrize("what", REGIONS)
def test_ultrasound_says_the_size_of_its_pixels_by_regions(tmp_path, image, dcm, read, what):
    regions, spacing = REGIONS[what]
    tags = {"drop": ["PixelSpacing"], "SequenceOfUltrasoundRegions": regions}
    path = dcm(tmp_path / "a.dcm", image(1), modality="US", bits=8, **tags)
    assert np.allclose(read(path).spacing, spacing)
    assert np.allclose(
        read(dcm(tmp_path / "b.dcm", image(1, (32, 32, 3)), modality="US", **tags)).spacing, spacing
    )


@pytest.mark.parametrize(
    ("regions", "tags", "said"),
    [
        ([region(), region(0.04, 0.06)], {}, "0.2 x 0.3 and 0.4 x 0.6 mm"),
        ([region()], {"PixelSpacing": [0.2, 0.6]}, "0.2 x 0.6 and 0.2 x 0.3 mm"),
        ([region()], {"ImagerPixelSpacing": [1, 1]}, "1 x 1 and 0.2 x 0.3 mm"),
        ([region(), region(0.02, 0.1)], {"PixelSpacing": [0.2, 0.3]}, "0.2 x 1 mm"),
    ],
)
def test_ultrasound_of_several_scales_is_refused(tmp_path, image, dcm, check, regions, tags, said):
    drop = [] if "PixelSpacing" in tags else ["PixelSpacing"]
    tags = {"drop": drop, "SequenceOfUltrasoundRegions": regions} | tags
    dcm(tmp_path / "d" / "a.dcm", image(1), modality="US", bits=8, **tags)
    found = check(tmp_path / "d")[1][READ]
    assert (
        found.outcome == "refused" and said in found.found and "a picture of its own" in str(found)
    )


def test_ultrasound_with_a_spacing_that_agrees_is_read(tmp_path, image, dcm, read):
    tags = {"SequenceOfUltrasoundRegions": [region()], "PixelSpacing": [0.2, 0.3]}
    path = dcm(tmp_path / "a.dcm", image(1), modality="US", bits=8, **tags)
    assert read(path).spacing == (0.2, 0.3)
    aspect = {"SequenceOfUltrasoundRegions": [region()], "PixelAspectRatio": [1, 1]}
    path = dcm(tmp_path / "b.dcm", image(1), modality="US", drop=["PixelSpacing"], **aspect)
    assert np.allclose(read(path).spacing, (0.2, 0.3))  # a ratio is no size


def test_slices_that_have_numbers_alone_are_as_far_apart_as_they_say(tmp_path, image, dcm, read):
    for number in range(6):
        px = image(number).astype(np.uint16)
        dcm(tmp_path / "s" / f"{number}.dcm", px, number=number, SliceThickness=3,
            SpacingBetweenSlices=5)  # fmt: skip
    assert read(tmp_path / "s").spacing == (5, 1, 1)


FIJI = {"imagej": True, "resolution": (5, 4)}
MM = (0.25, 0.2)
OME = (
    '<OME><Image ID="Image:0"><Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="1" SizeT="1" '
    'SizeX="40" SizeY="32" SizeZ="1" Type="uint8" PhysicalSizeX="200" PhysicalSizeXUnit="&#181;m" '
    "PhysicalSizeY='0.25' PhysicalSizeYUnit='mm'><TiffData/></Pixels></Image></OME>"
)
IMAGEJ = {
    "mm": (FIJI | {"metadata": {"unit": "mm"}}, MM),
    "cm": (FIJI | {"metadata": {"unit": "cm"}}, (2.5, 2)),
    "um": (FIJI | {"metadata": {"unit": "um"}}, (0.00025, 0.0002)),
    "escaped": (FIJI | {"metadata": {"unit": "\\u00B5m"}}, (0.00025, 0.0002)),
    "micron": (FIJI | {"metadata": {"unit": "micron"}}, (0.00025, 0.0002)),
    "inch": (FIJI | {"metadata": {"unit": "inch"}}, (25.4 / 4, 25.4 / 5)),
    "millimeters": (FIJI | {"metadata": {"unit": "Millimeters"}}, MM),
    "pixel": (FIJI | {"metadata": {"unit": "pixel"}}, (1, 1)),
    "none": (FIJI, (1, 1)),
    "tifffile": ({"resolution": (5, 4), "metadata": {"unit": "mm"}}, MM),
    "print": ({"resolution": (300, 300), "resolutionunit": "INCH"}, (1, 1)),
    "no resolution": ({"imagej": True, "metadata": {"unit": "mm"}}, (1, 1)),
    "ome": ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 200, "PhysicalSizeY": 250}},
            MM),
    "ome in millimetres": ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.2,
                   "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 250,
                   "PhysicalSizeYUnit": "µm"}}, MM),
    "ome without a unit of length": ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 7,
                   "PhysicalSizeXUnit": "pixel"}}, (1, 1)),
    "ome, escaped": ({"description": OME, "metadata": None}, MM),
    "ome without sizes": ({"ome": True, "metadata": {"axes": "YX"}, "resolution": (5, 4)}, (1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("what", IMAGEJ)
def test_a_tiff_says_the_size_of_its_pixels_where_it_says_a_unit(tmp_path, image, read, what):
    keys, spacing = IMAGEJ[what]
    tifffile.imwrite(tmp_path / "a.tif", image(1, (32, 40)), **keys)
    assert np.allclose(read(tmp_path / "a.tif").spacing, spacing, rtol=1e-4, atol=0)
    assert read(tmp_path / "a.tif").voxels.shape == (1, 32, 40)


def test_a_tiff_that_is_turned_has_its_sizes_turned(tmp_path, image, read):
    keys = {"metadata": {"unit": "mm"}, "resolution": (5, 4), "extratags": [(274, 3, 1, 6, True)]}
    tifffile.imwrite(tmp_path / "a.tif", image(1, (32, 40)), **keys)
    volume = read(tmp_path / "a.tif")
    assert volume.voxels.shape == (1, 40, 32) and np.allclose(volume.spacing, (0.2, 0.25))


@pytest.mark.parametrize(
    "keys",
    [
        FIJI | {"metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "mm"}},
        {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 200, "PhysicalSizeY": 250,
                                   "PhysicalSizeZ": 3, "PhysicalSizeZUnit": "mm"}},
        {"resolution": (5, 4), "metadata": {"spacing": 3, "unit": "mm"}},
    ],
    ids=["ImageJ", "OME", "tifffile"],
)  # fmt: skip
def test_the_pages_of_a_tiff_are_as_far_apart_as_it_says(tmp_path, image, read, keys):
    tifffile.imwrite(tmp_path / "a.tif", image(1, (7, 32, 40)), **keys)
    volume = read(tmp_path / "a.tif")
    assert volume.voxels.shape == (1, 7, 32, 40)
    assert np.allclose(volume.spacing, (3, 0.25, 0.2), rtol=1e-4)


@pytest.mark.parametrize("unit", ["sec", "furlong", "[red]x"])
def test_a_tiff_in_another_unit_is_refused(tmp_path, image, check, unit):
    tifffile.imwrite(tmp_path / "a.tif", image(1), **FIJI, metadata={"unit": unit})
    found = check(tmp_path / "a.tif")[1][READ]
    assert found.outcome == "refused" and f"0.25 {unit} large" in found.found


def test_a_copy_at_another_scale_is_resampled_to_that_of_the_original(tmp_path, image, check):
    for name, size in (("t", 1), ("v", 1), ("s", 2)):
        (tmp_path / name).mkdir()
        for n in range(4):
            px = image(10 * ord(name) + n, (64, 64))[::size, ::size]
            tifffile.imwrite(tmp_path / name / f"{name}{n}.tif", px, resolution=(4 / size,) * 2,
                             metadata={"unit": "mm"})  # fmt: skip
    sources = {f"{k}_source": str(tmp_path / k[0]) for k in ("validation", "synthetic")}
    found = check(tmp_path / "t", **sources)[1][SPACING]
    assert found.outcome == "refused" and "data.spacing=0.25,0.25" in str(found)
    groups, found = check(tmp_path / "t", **sources, spacing=(0.5, 0.5))
    assert groups["training"].shapes == groups["synthetic"].shapes == ((32, 32),)
    assert found[SPACING].outcome == "accepted"


def test_hdf5_says_it_by_the_attribute_of_fiji_and_ilastik(tmp_path, image, read, check):
    for name, stack in (("a", image(1, (2, 7, 32, 40))), ("b", image(1, (2, 32, 40)))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["images"] = stack
            file["images"].attrs["element_size_um"] = [3000, 250, 200.0]
    groups = {name: check(tmp_path / f"{name}.h5", validation=0.5)[0]["training"] for name in "ab"}
    assert np.allclose(groups["a"].spacing, (3, 0.25, 0.2))
    assert np.allclose(groups["b"].spacing, (0.25, 0.2))
    for odd in ([1, 2], [1, np.nan, 1], [0, 1, 1], "thin"):
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file["images"].attrs["element_size_um"] = odd
        found = check(tmp_path / "a.h5", validation=0.5)[1][READ]
        assert found.outcome == "refused" and "element_size_um is no three sizes" in found.found


@pytest.mark.parametrize(
    ("sform", "pixdim", "refused"),
    [((1, 1, 1), (0.5, 0.5, 3), True), ((2, 3, 4), (2, 3, 5), True), ((2, 3, 4), (3, 2, 4), True),
     ((1, 1, 1), (1, 1, 1.2), True), ((2, 3, 4), (2000, 3000, 4000), True),
     ((2, 3, 4), (2.001, 3, 4), False), ((2, 3, 4), (1, 1, 1), False),
     ((0.4883, 0.4883, 5), (0.48828125, 0.48828125, 5), False)],
)  # fmt: skip
def test_a_sform_of_other_voxel_sizes_than_pixdim_is_refused_and_both_ways_out_work(
    tmp_path, image, read, sform, pixdim, refused
):
    scan = nibabel.Nifti1Image(image(1, (8, 9, 7)), np.diag([*sform, 1.0]))
    scan.header.set_zooms(pixdim)
    nibabel.save(scan, path := tmp_path / "a.nii")
    if not refused:
        assert np.allclose(read(path).spacing, sform)
        return
    with pytest.raises(UserError, match="its sform says voxels of .* and its pixdim"):
        read(path)
    scan = nibabel.load(path)
    scan.set_sform(None)
    nibabel.save(scan, tmp_path / "b.nii")
    assert np.allclose(read(tmp_path / "b.nii").spacing, pixdim)
    scan = nibabel.load(path)
    scan.header.set_zooms(nibabel.affines.voxel_sizes(scan.affine))
    nibabel.save(scan, tmp_path / "c.nii")
    assert np.allclose(read(tmp_path / "c.nii").spacing, sform)
