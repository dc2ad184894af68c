import numpy as np
import pytest
import torch
from monai.transforms import ScaleIntensityRangePercentiles

from memtk.errors import UserError
from memtk.imaging.intensity import PercentileScaling, check_voxels, count_nonfinite, is_constant


@pytest.mark.parametrize("percentiles", [(0.5, 99.5), (0, 100), (2, 90)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_scaling_agrees_with_monai(percentiles, scale):
    x = (np.random.default_rng(0).gamma(2, scale, (1, 9, 8, 7))).astype(np.float32)
    monai = ScaleIntensityRangePercentiles(*percentiles, -1, 1, clip=True)(torch.from_numpy(x))
    np.testing.assert_allclose(PercentileScaling(*percentiles)(x), monai.numpy(), atol=2e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_every_dtype_becomes_float32_within_the_range(dtype):
    x = np.random.default_rng(0).integers(0, 200, (1, 16, 16)).astype(dtype)
    y = PercentileScaling()(x)
    assert y.dtype == np.float32 and y.min() == -1 and y.max() == 1


@pytest.mark.parametrize("percentiles", [(0.5, 99.5), (0, 100), (33.3, 66.7), (1, 99)])
@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.uint8, 0, 255), (np.uint8, 3, 9), (np.int16, -1024, 3000), (np.uint16, 0, 65535)]
    + [(np.int32, -70000, 70000), (np.int64, 2**40, 2**40 + 50)],
)
def test_whole_numbers_are_scaled_to_the_bit_as_real_ones(dtype, low, high, percentiles):
    for seed, shape in enumerate([(1, 16, 17), (1, 61, 63), (1, 300, 300)]):
        x = np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(dtype)
        scale = PercentileScaling(*percentiles)
        np.testing.assert_array_equal(scale(x), scale(x.astype(np.float64)))


def test_scaling_does_not_change_with_the_scanners_gain_and_offset():
    x = np.random.default_rng(0).normal(size=(1, 8, 8))
    np.testing.assert_allclose(
        PercentileScaling()(x), PercentileScaling()(1e5 * x + 3e4), atol=1e-6
    )


def test_a_nearly_blank_image_is_refused():
    x = np.zeros((1, 40, 40))
    x[0, 0, 0] = 1
    with pytest.raises(UserError, match="dot.png is nearly blank: .* 0.5 and 99.5 are both 0"):
        PercentileScaling()(x, "dot.png")


def test_the_recipe_states_percentiles_range_and_clipping():
    recipe = PercentileScaling(1, 98).recipe()
    assert recipe["percentiles"] == [1, 98]
    assert recipe["range"] == [-1, 1] and recipe["clipped"] is True


def test_nan_and_infinite_voxels_are_counted():
    x = np.array([[1.0, np.nan], [np.inf, -np.inf]])
    assert count_nonfinite(x) == 3
    assert count_nonfinite(np.ones((2, 2), dtype=np.uint8)) == 0


def test_an_image_of_one_value_is_constant():
    assert is_constant(np.full((1, 3, 3), 7)) and not is_constant(np.arange(9).reshape(1, 3, 3))


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.zeros((4, 4)), r"a.png has the shape \(4, 4\)"),
        (np.zeros((1, 0, 4)), r"a.png has the shape \(1, 0, 4\)"),
        (np.array([[[1.0, np.nan]]]), "a.png has 1 NaN or infinite voxels of 2"),
        (np.full((1, 2, 2), 3), "a.png is blank: every voxel is 3"),
    ],
)
def test_an_image_that_nothing_can_be_learned_from_is_refused(voxels, message):
    with pytest.raises(UserError, match=message):
        check_voxels(voxels, "a.png")


def test_a_usual_image_passes():
    check_voxels(np.arange(8).reshape(1, 2, 2, 2), "a.nii")
