from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from memtk.data.images import MemoryImages
from memtk_measures.diversity import MsSsim, settings

METRIC = MsSsim()


def images(count, seed, shape=(64, 64)):
    noise = torch.Generator().manual_seed(seed)
    return MemoryImages(torch.rand((count, 1, *shape), generator=noise) * 2 - 1)


def test_images_that_are_all_one_score_one():
    same = MemoryImages(images(1, 0).x.repeat(5, 1, 1, 1))
    assert METRIC(same, same)["ms-ssim"].value == pytest.approx(1)


def test_the_value_is_of_the_synthetic_images_and_the_line_of_the_real_ones():
    same = MemoryImages(images(1, 0).x.repeat(5, 1, 1, 1))
    found = METRIC(images(5, 1), same)["ms-ssim"]
    assert found.value == pytest.approx(1) and found.real < 0.5 and found.better == "real"


@pytest.mark.parametrize("shape", [(64, 64), (32, 32), (16, 16), (16, 24, 16), (8, 8), (32, 9, 9)])
def test_small_images_in_2d_and_3d_have_a_score(shape):
    assert 0 <= METRIC(images(4, 0, shape), images(4, 1, shape))["ms-ssim"].value <= 1


@pytest.mark.parametrize("side", range(4, 200, 3))
def test_the_settings_fit_images_of_any_size(side):
    """By the two bounds that MONAI checks, and the room that the coarsest scale has."""
    kernel, weights = settings((side, 300))
    assert kernel % 2 == 1 and side // max(1, len(weights) - 1) ** 2 > kernel - 1
    assert side // 2 ** (len(weights) - 1) >= kernel


def test_each_image_is_compared_with_one_other_and_the_mean_is_taken(monkeypatch):
    import memtk_measures.diversity as module

    pairs = []

    def compared(a, b, *args, **kwargs):
        pairs.extend(zip(a.flatten(1).tolist(), b.flatten(1).tolist(), strict=True))
        return torch.arange(float(len(a)))[:, None]

    monkeypatch.setattr(module, "compute_ms_ssim", compared)
    found = METRIC(images(2, 0, (8, 8)), images(7, 1, (8, 8)))["ms-ssim"]
    assert found.value == 3 and len(pairs) == 9 and all(a != b for a, b in pairs)


def test_one_image_has_no_other_to_compare_with():
    found = METRIC(images(1, 0), images(1, 1))["ms-ssim"]
    assert math.isnan(found.real) and math.isnan(found.value) and found.note


def test_one_scale_agrees_with_scikit_image():
    import memtk_measures.diversity as module

    a, b = (images(1, seed).x for seed in (2, 3))
    found = module.compute_ms_ssim(
        (a + 1) / 2,
        (b + 1) / 2,
        2,
        1.0,
        kernel_size=[11, 11],
        kernel_sigma=[1.5, 1.5],
        weights=(1.0,),
    )
    whole = structural_similarity(
        ((a + 1) / 2)[0, 0].numpy(), ((b + 1) / 2)[0, 0].numpy(), data_range=1.0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
    )[1]  # fmt: skip
    assert found.item() == pytest.approx(max(whole[5:-5, 5:-5].mean(), 0), abs=2e-3)


def test_weights_sum_to_one():
    assert np.isclose(sum(settings((48, 32, 32))[1]), 1)


@pytest.mark.parametrize("shape", [(192, 192), (64, 64), (64, 48, 64)])
def test_it_is_the_ms_ssim_of_torchmetrics(shape):
    """Both round off differently between the scales; another weight or scale is further off."""
    kernel, weights = settings(shape)
    noise = torch.Generator().manual_seed(0)
    coarse = torch.rand((2, 1, *(side // 8 for side in shape)), generator=noise)
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    base = torch.nn.functional.interpolate(coarse, size=shape, mode=mode)
    x = (0.8 * base + 0.2 * torch.rand(base.shape, generator=noise)) * 2 - 1
    x[1] = 0.5 * x[1] + 0.5 * x[0]  # alike, so that no scale is cut off at 0
    images = MemoryImages(x)
    theirs = multiscale_structural_similarity_index_measure(
        (x[:1] + 1) / 2, (x[1:] + 1) / 2, sigma=1.5, kernel_size=kernel, data_range=1.0,
        betas=weights, gaussian_kernel=True,
    )  # fmt: skip
    found = METRIC(images, images)["ms-ssim"]  # of two images each is the other's pair
    assert found.value == pytest.approx(float(theirs), abs=0.02)
    assert f"At {len(weights)} of the 5 published scales" in found.note
