import numpy as np
import pytest

from memtk.errors import UserError
from memtk.imaging.volumes import check_voxels, count_nonfinite, is_constant


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
