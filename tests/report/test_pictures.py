from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from memtk.report.pictures import (
    LIMIT,
    Window,
    plane_sizes,
    planes,
    show_difference,
    show_image,
    window_of,
)

UNIT = Window(0.0, 1.0)


def pixels(picture):
    data = base64.b64decode(picture.uri.partition("base64,")[2])
    return imread(io.BytesIO(data), format="png")[..., :3]


def test_planes_go_through_the_middle_of_each_axis():
    image = np.arange(2 * 4 * 6 * 8).reshape(2, 4, 6, 8)
    first, second, third = planes(image)
    assert np.array_equal(first, image[:, 2]) and first.shape == (2, 6, 8)
    assert np.array_equal(second, image[:, :, 3]) and second.shape == (2, 4, 8)
    assert np.array_equal(third, image[..., 4]) and third.shape == (2, 4, 6)
    assert len(planes(image[:, 0])) == 1


def test_pictures_keep_the_proportions_of_the_voxels():
    sizes = plane_sizes((4.0, 1.0, 0.5), 3)
    assert sizes == [(1.0, 0.5), (4.0, 0.5), (4.0, 1.0)]
    assert plane_sizes((), 3) == [(1.0, 1.0)] * 3 and plane_sizes((2.0, 3.0), 2) == [(2.0, 3.0)]
    picture = show_image(np.zeros((1, 10, 40)), UNIT, (4.0, 0.5), 100)
    assert (picture.height, picture.width) == (100, 50)  # 40 mm by 20 mm


def test_grey_runs_from_the_lower_to_the_upper_end_of_the_window():
    x = np.array([[[0.0, 0.25, 0.5, 1.0, 3.0, -2.0]]])
    shown = pixels(show_image(x, UNIT, (1, 1), 60))
    assert shown[0, :, 0] == pytest.approx([0, 0.25, 0.5, 1, 1, 0], abs=1 / 255)
    assert np.array_equal(shown[..., 0], shown[..., 2])


def test_three_channels_are_colours_and_of_others_the_first_is_shown():
    x = np.stack([np.full((2, 2), v) for v in (1.0, 0.5, 0.0)])
    assert pixels(show_image(x, UNIT, (1, 1), 60))[0, 0] == pytest.approx([1, 0.5, 0], abs=0.01)
    assert pixels(show_image(x[1:], UNIT, (1, 1), 60))[0, 0] == pytest.approx([0.5] * 3, abs=0.01)


def test_no_difference_is_pale_and_the_two_signs_are_orange_and_blue():
    zero = np.zeros((1, 1, 3))
    other = np.array([[[0.0, 1.0, -1.0]]])
    pale, more, less = pixels(show_difference(zero, other, UNIT, (1, 1), 60))[0]
    assert pale.min() > 0.95
    assert more[0] > more[2] + 0.3 and less[2] > less[1] + 0.2


def test_large_images_are_averaged_down_and_say_so():
    x = np.random.default_rng(0).random((1, 2 * LIMIT, LIMIT))
    picture = show_image(x, UNIT, (1, 1), 100)
    assert picture.reduced and pixels(picture).shape == (LIMIT, LIMIT // 2, 3)
    assert pixels(picture)[0, 0, 0] == pytest.approx(x[0, :2, :2].mean(), abs=1 / 255)
    assert not show_image(x[:, :4], UNIT, (1, 1), 100).reduced


def test_the_window_ignores_a_few_extreme_voxels_and_is_never_empty():
    x = np.linspace(-1, 1, 10_001)
    x[0] = 1e6
    assert window_of(x).high == pytest.approx(0.99, abs=0.01)
    assert window_of(np.full(9, 0.5)) == Window(0.5, 1.5)
