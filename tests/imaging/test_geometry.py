import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from skimage.filters import gaussian

from memtk.errors import UserError
from memtk.imaging.geometry import Geometry
from memtk.interfaces import Volume


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).normal(size=(1, 7, 8, 5)).astype(np.float32)
    return Volume(voxels, (1.0, 1.5, 2.0), np.diag([1.0, 1.5, 2.0, 1.0]))


def test_what_is_not_asked_is_not_done(volume):
    geometry = Geometry()
    assert geometry(volume) is volume
    assert set(geometry.recipe().values()) == {"as stored"}


@pytest.mark.parametrize("shape", [(4, 8, 5), (7, 11, 6), (3, 12, 2)])
def test_an_image_is_cropped_and_padded_about_its_centre_with_its_minimum(volume, shape):
    made = Geometry(shape=shape)(volume)
    wanted = volume.voxels[0]
    for axis, size in enumerate(shape):
        extra = size - wanted.shape[axis]
        if extra < 0:  # the larger half of an odd crop is taken from the end
            start = wanted.shape[axis] // 2 - size // 2
            wanted = wanted.take(range(start, start + size), axis)
        else:
            pads = [(0, 0)] * 3
            pads[axis] = (extra // 2, extra - extra // 2)
            wanted = np.pad(wanted, pads, constant_values=volume.voxels.min())
    np.testing.assert_array_equal(made.voxels[0], wanted)
    assert made.voxels.dtype == np.float32 and made.spacing == volume.spacing


def test_a_flat_image_is_cropped_and_padded_too():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4) + 5
    made = Geometry(shape=(5, 2))(Volume(x, (1.0, 1.0)))
    wanted = np.pad(x[0, :, 1:3], ((1, 1), (0, 0)), constant_values=5)
    np.testing.assert_array_equal(made.voxels[0], wanted)
    assert made.affine is None


@pytest.mark.parametrize("codes", ["LPS", "PIR", "SAL", "RAS"])
def test_orientation_agrees_with_nibabel(volume, codes):
    start = nibabel.orientations.axcodes2ornt(codes)
    end = nibabel.orientations.axcodes2ornt("RAS")
    to_ras = nibabel.orientations.ornt_transform(end, start)
    image = nibabel.Nifti1Image(volume.voxels[0], volume.affine).as_reoriented(to_ras)
    assert "".join(nibabel.aff2axcodes(image.affine)) == codes
    voxels = np.asarray(image.dataobj)[None]
    turned = Geometry(orientation="ras")(Volume(voxels, image.header.get_zooms(), image.affine))
    np.testing.assert_array_equal(turned.voxels, volume.voxels)
    np.testing.assert_allclose(turned.affine, volume.affine)
    np.testing.assert_allclose(turned.spacing, volume.spacing)


def test_resampling_is_linear_between_the_voxels(volume):
    made = Geometry(spacing=(0.5, 1.5, 1.0))(volume)
    assert made.voxels.shape == (1, 13, 8, 9) and made.spacing == (0.5, 1.5, 1.0)
    at = np.meshgrid(np.arange(13) / 2, np.arange(8), np.arange(9) / 2, indexing="ij")
    wanted = map_coordinates(volume.voxels[0], at, order=1, mode="nearest")
    np.testing.assert_allclose(made.voxels[0], wanted, atol=1e-5)


def test_a_picture_is_resampled_by_its_spacing():
    x = np.random.default_rng(0).normal(size=(1, 9, 9)).astype(np.float32)
    made = Geometry(spacing=(2.0, 1.0))(Volume(x, (1.0, 1.0)))
    assert made.spacing == (2.0, 1.0)
    np.testing.assert_allclose(made.voxels[0], x[0, ::2], atol=1e-5)


def test_resampling_stays_within_the_range_of_the_image(volume):
    bright = Volume(volume.voxels + 10, volume.spacing, volume.affine)  # far from zero
    for step in (0.7, 1.3):
        made = Geometry(spacing=(step, step, step))(bright).voxels
        assert bright.voxels.min() <= made.min() and made.max() <= bright.voxels.max()


def test_settings_for_another_number_of_axes_are_refused(volume):
    with pytest.raises(UserError, match=r"data.shape = 8,8 has 2 axes; a.nii has 3 \(7 x 8 x 5\)"):
        Geometry(shape=(8, 8))(volume, "a.nii")
    with pytest.raises(UserError, match="data.spacing = 1,0.5 has 2 axes"):
        Geometry(spacing=(1, 0.5))(volume, "a.nii")


def test_an_image_without_an_orientation_cannot_be_turned(volume):
    for one in (
        Volume(volume.voxels, volume.spacing),
        Volume(volume.voxels[0], (1.0, 1.0), np.eye(4)),
    ):
        with pytest.raises(UserError, match="a.nii does not say how it is oriented"):
            Geometry(orientation="ras")(one, "a.nii")


def test_the_recipe_states_all_that_is_done():
    recipe = Geometry("ras", (1, 1, 2), (8, 8, 8)).recipe()
    assert recipe["orientation"] == "RAS"
    assert recipe["spacing"] == {
        "to_mm": [1, 1, 2],
        "interpolation": "linear",
        "anti_aliasing": False,
    }
    assert recipe["shape"]["to"] == [8, 8, 8] and "minimum" in recipe["shape"]["method"]


def test_anti_aliasing_blurs_by_half_of_what_the_voxels_grow_by():
    x = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32)
    volume = Volume(x, (1.0, 2.0))
    made = Geometry(spacing=(4.0, 2.0), anti_aliasing=True)(volume).voxels
    blurred = gaussian(x[0].astype(np.float64), (1.5, 0.0), mode="nearest").astype(np.float32)
    wanted = Geometry(spacing=(4.0, 2.0))(Volume(blurred[None], (1.0, 2.0))).voxels
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_fine_texture_becomes_gray_and_not_noise():
    x = np.indices((64, 64)).sum(0)[None] % 2 * 2.0 - 1  # a chessboard
    volume = Volume(x.astype(np.float32), (1.0, 1.0))
    plain, smooth = (Geometry(spacing=(5.0, 5.0), anti_aliasing=a)(volume).voxels for a in (0, 1))
    assert np.abs(smooth[0, 2:-2, 2:-2]).max() < 0.01 < 0.5 < np.abs(plain).max()


@pytest.mark.parametrize("spacing", [(0.001, 0.001, 0.001), (900.0, 1.0, 1.0)])
def test_a_voxel_size_that_no_image_can_have_is_refused_before_it_is_made(spacing):
    volume = Volume(np.zeros((1, 20, 20, 20), np.float32), (1.0, 1.0, 1.0))
    with pytest.raises(UserError, match=r"data.spacing = .* would make a.nii .* voxels large"):
        Geometry(spacing=spacing)(volume, "a.nii")
