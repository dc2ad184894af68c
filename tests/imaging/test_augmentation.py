from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from memtk.imaging import augmentation as A
from memtk.noise import Noise

SHAPES = [(7, 9), (5, 8, 6)]


def images(shape, count=4, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, channels, *shape), generator=generator) * 2 - 1


@pytest.mark.parametrize("axes", [(1, 2), (0, 2), (0, 1)])
def test_a_quarter_turn_about_each_axis_equals_rot90(axes):
    x = images((6, 6, 6))
    axis = ({0, 1, 2} - set(axes)).pop()
    degrees = torch.zeros(4, 3)
    degrees[:, axis] = 90
    expected = np.rot90(x.numpy(), axes=(axes[0] + 2, axes[1] + 2))
    np.testing.assert_allclose(A.rotate(x, degrees).numpy(), expected, atol=1e-5)


def test_a_quarter_turn_in_2d_equals_rot90_and_each_row_has_its_own_angle():
    x = images((6, 6))
    turned = A.rotate(x, torch.tensor([[0.0], [90.0], [180.0], [-90.0]])).numpy()
    for row, times in enumerate((0, 1, 2, -1)):
        expected = np.rot90(x[row].numpy(), times, axes=(1, 2))
        np.testing.assert_allclose(turned[row], expected, atol=1e-5)


def test_a_rotation_is_rigid_where_axes_have_different_lengths():
    place = np.stack(np.meshgrid(np.arange(40), np.arange(24), indexing="ij"), -1)
    ball = np.exp(-((place - [12, 16]) ** 2).sum(-1) / 18)  # a round blob off the centre
    x = torch.tensor(ball, dtype=torch.float32)[None, None]
    turned = A.rotate(x, torch.tensor([[30.0]]))[0, 0].double().numpy()
    angle = np.deg2rad(30)
    centre = np.array([19.5, 11.5])
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    goal = centre + matrix @ (np.array([12, 16]) - centre)
    np.testing.assert_allclose(ndimage.center_of_mass(turned), goal, atol=0.1)
    spread = [(turned * (place[..., a] - goal[a]) ** 2).sum() / turned.sum() for a in (0, 1)]
    np.testing.assert_allclose(spread, [9, 9], rtol=0.05)


def test_a_3d_rotation_agrees_with_scipy_inside():
    x = images((20, 16, 18), count=1)
    x = torch.tensor(ndimage.gaussian_filter(x.numpy(), (0, 0, 2, 2, 2)))
    turned = A.rotate(x, torch.tensor([[0.0, 0.0, 20.0]]))
    expected = ndimage.rotate(x[0, 0].numpy(), 20, axes=(0, 1), reshape=False, order=1)
    inside = (slice(5, -5),) * 3
    np.testing.assert_allclose(turned[0, 0].numpy()[inside], expected[inside], atol=2e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_comes_in_from_outside_is_the_minimum_of_the_row(shape):
    x = images(shape, count=2) * 0.1
    x[0] -= 0.5
    x[1] += 0.5
    voxels = torch.zeros(2, len(shape))
    voxels[:, 0] = 3
    moved = A.shift(x, voxels)
    for row in range(2):
        torch.testing.assert_close(moved[row, :, 3:], x[row, :, :-3], atol=1e-5, rtol=0)
        lowest = x[row].min().expand(moved[row, :, :3].shape)
        torch.testing.assert_close(moved[row, :, :3], lowest, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_flipping_twice_is_the_identity_and_flips_only_the_rows_asked_for(shape):
    x = images(shape)
    which = torch.tensor([True, False, True, False])
    for axis in (*range(len(shape)), -1):
        once = A.flip(x, axis, which)
        assert torch.equal(A.flip(once, axis, which), x)
        assert torch.equal(once[~which], x[~which])
        dim = axis + 2 if axis >= 0 else axis
        assert torch.equal(once[which], x[which].flip(dim))


def test_blur_agrees_with_scipy_away_from_the_border_and_zero_leaves_the_row():
    x = images((30, 34), count=3)
    sigma = torch.tensor([0.0, 0.8, 1.5])
    smooth = A.blur(x, sigma)
    assert torch.equal(smooth[0], x[0])
    for row in (1, 2):
        expected = ndimage.gaussian_filter(
            x[row, 0].double().numpy(), float(sigma[row]), truncate=6
        )
        inside = (slice(10, -10),) * 2
        np.testing.assert_allclose(smooth[row, 0].numpy()[inside], expected[inside], atol=1e-5)


def test_blur_keeps_a_constant_image_up_to_its_border():
    x = torch.full((2, 1, 5, 6, 7), 0.3)
    torch.testing.assert_close(A.blur(x, torch.tensor([0.5, 2.0])), x)


def test_contrast_is_a_power_of_the_intensity_in_zero_to_one():
    x = images((6, 5))
    gamma = torch.tensor([1.0, 0.5, 2.0, 1.3])
    expected = ((x.double() + 1) / 2) ** gamma[:, None, None, None] * 2 - 1
    torch.testing.assert_close(A.contrast(x, gamma).double(), expected, atol=1e-6, rtol=0)


def test_added_noise_has_the_spread_asked_for_and_stays_in_range():
    x = torch.zeros(3, 1, 40, 40)
    grained = A.add_noise(x, torch.tensor([0.0, 0.1, 9.0]), Noise(0, range(3)))
    assert torch.equal(grained[0], x[0])
    assert float(grained[1].std()) == pytest.approx(0.1, rel=0.1)
    assert float(grained.abs().max()) == 1.0


@pytest.mark.parametrize("change", [A.paper_pair, A.augment, A.strong, A.wide])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_depends_on_its_own_stream_alone(change, shape):
    x = images(shape, count=6, channels=2)
    together = change(x, Noise(3, range(6)))
    assert together.shape == x.shape
    for row in (0, 4):
        alone = change(x[row : row + 1], Noise(3, [row]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)
    assert not torch.equal(together, change(x, Noise(4, range(6))))


def test_a_quarter_of_the_rows_of_paper_pair_are_unchanged():
    x = images((8, 8), count=1).expand(2000, -1, -1, -1)
    changed = A.paper_pair(x, Noise(0, range(2000)))
    same = (changed == x).flatten(1).all(1).double().mean()
    mirrored = (changed == x.flip(-1)).flatten(1).all(1).double().mean()
    assert float(same) == pytest.approx(0.25, abs=0.03)
    assert float(mirrored) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("change", [A.strong, A.wide])
def test_strong_and_wide_stay_in_range(change):
    x = torch.tensor(ndimage.gaussian_filter(images((32, 32), 64).numpy(), (0, 0, 3, 3))) * 3
    changed = change(x.clamp(-1, 1), Noise(0, range(64)))
    assert float(changed.abs().max()) <= 1
    assert bool(changed.isfinite().all())


def test_wide_changes_an_image_alike_at_every_size_but_for_the_grain(monkeypatch):
    monkeypatch.setattr(A, "add_noise", lambda x, sigma, noise: x)
    large = torch.tensor(ndimage.gaussian_filter(images((96, 96), 16).numpy(), (0, 0, 9, 9))) * 9
    small = torch.nn.functional.avg_pool2d(large.clamp(-1, 1), 3)
    changed = torch.nn.functional.avg_pool2d(A.wide(large.clamp(-1, 1), Noise(0, range(16))), 3)
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    gap = (A.wide(small, Noise(0, range(16))) - changed)[inside].abs().mean()
    assert float(gap) < 0.02
    assert float((small - changed)[inside].abs().mean()) > 0.1


def test_wide_blurs_in_proportion_to_the_shortest_side(monkeypatch):
    drawn = []
    monkeypatch.setattr(A, "blur", lambda x, sigma: drawn.append(sigma) or x)
    for shape in ((20, 40), (80, 160)):
        A.wide(images(shape, count=400), Noise(1, range(400)))
    torch.testing.assert_close(4 * drawn[0], drawn[1])
    assert float(drawn[0].max()) == pytest.approx(0.035 * 20, rel=0.02)
    assert float((drawn[0] == 0).double().mean()) == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize("shape", [(21, 30), (12, 15, 18)])
def test_deform_agrees_with_scipy_and_leaves_rows_of_strength_zero(shape):
    dims = len(shape)
    x = images(shape, count=3)
    warped = A.deform(x, torch.tensor([0.0, 0.1, 0.3]), Noise(5, range(3)))
    assert torch.equal(warped[0], x[0])
    drawn = Noise(5, range(3)).normal(dims, *[A.NODES] * dims).double().numpy()
    place = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")).astype(float)
    ends = np.asarray(shape).reshape(-1, *[1] * dims) - 1
    for row, strength in ((1, 0.1), (2, 0.3)):
        at = place / ends * (A.NODES - 1)
        moves = np.stack([ndimage.map_coordinates(field, at, order=1) for field in drawn[row]])
        halves = np.asarray(shape).reshape(-1, *[1] * dims) / 2
        points = place + strength * moves[::-1] * halves
        picture = x[row, 0].double().numpy()
        expected = ndimage.map_coordinates(
            picture, points, order=1, mode="grid-constant", cval=picture.min()
        )
        np.testing.assert_allclose(warped[row, 0].numpy(), expected, atol=1e-4)


def test_a_row_is_deformed_by_its_own_stream_alone():
    x, strength = images((8, 9), count=5), torch.full((5,), 0.2)
    together = A.deform(x, strength, Noise(3, range(5)))
    alone = A.deform(x[4:], strength[4:], Noise(3, [4]))
    torch.testing.assert_close(alone[0], together[4], atol=1e-6, rtol=0)
    assert torch.equal(A.deform(x, 0 * strength, Noise(3, range(5))), x)


def test_angles_keep_their_digits_inside_autocast():
    x = images((16, 16))
    degrees = torch.tensor([[3.1], [-2.2], [4.7], [0.3]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = A.rotate(x, degrees)
    assert torch.equal(inside, A.rotate(x, degrees))
