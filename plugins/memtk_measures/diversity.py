"""How different synthetic images are: the Vendi score, and multi-scale structural similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from monai.metrics.regression import compute_ms_ssim

from memtk.errors import many
from memtk.interfaces import Features, Images, QualityMeasure
from memtk.noise import derive
from memtk_measures.against import some


class Vendi:
    """Effective number of different images, from 1 to n; higher = more diverse.

    `exp(-sum l log l)` over the eigenvalues l of K / n, where K (n, n) holds the cosines of the
    extractor's features: n images that have nothing in common score n, n copies of one score 1.
    Friedman and Dieng, arXiv 2210.02410.

    It needs no reference set. The line is that of validation images, which the extractor has seen
    no more than the synthetic ones; n is the number of images in the smaller of the two sets, drawn
    at random from the larger one, because the score grows with n.

    Pitfalls:
        All depends on the kernel: with features that are all positive (after a ReLU) any two images
        are alike, and the score is close to 1 for real images too. Compare with the line only.
        A generator that copies its training images is as diverse as they are.
    """

    space: Literal["features"] = "features"

    def __call__(self, features: Features) -> Mapping[str, QualityMeasure]:
        """Return {"vendi": ...}."""
        count = min(len(features.synthetic), len(features.validation))
        synthetic, real = (
            vendi(some(rows, count, "vendi")) for rows in (features.synthetic, features.validation)
        )
        note = ""
        if count < max(len(features.synthetic), len(features.validation)):
            images = f"{many(count, 'synthetic image')} and {many(count, 'validation image')}"
            note = f"Of {images}, drawn at random."
        return {"vendi": QualityMeasure(synthetic, real, "higher", "each other", note)}


def vendi(rows: np.ndarray) -> float:
    """Return the score of features (n, D); NaN of none.

    >>> round(vendi(np.eye(3)), 6), round(vendi(np.ones((5, 2))), 6)
    (3.0, 1.0)
    """
    if not len(rows):
        return float("nan")
    rows = np.asarray(rows, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)  # (n, 1)
    rows = rows / np.maximum(norms, np.finfo(np.float64).tiny)
    # K and the smaller one of the two products have the same eigenvalues beside 0.
    product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    values = np.linalg.eigvalsh(product / len(rows))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, from the finest (Wang et al., Asilomar 2003)."""

LEAST_KERNEL = 7
BATCH = 8


class MsSsim:
    """MS-SSIM of each synthetic image with one other, drawn at random; the mean over the images.

    In [0, 1]. Higher = less diverse: 1 if all synthetic images are one. The line is the same among
    the validation images, as in arXiv 2402.01054, section 2.4.2: good is what comes near to it, and
    below it the images differ more than real ones do. It needs no reference set and no extractor.
    Through MONAI; images (C, *S) in [-1, 1] are taken as [0, 1].

    Pitfalls:
        The published five scales (Wang et al., Asilomar 2003) need 176 voxels a side, and MONAI
        refuses smaller images. These are compared at as many scales as leave a Gaussian kernel of
        7 voxels (11 where there is room) on the coarsest, along the shortest axis; the weights are
        those of the finest scales, rescaled to the sum 1. So numbers of different image sizes, or
        of other settings, are not comparable.
        Empty background is alike in all images: crops with more of it score higher.
        It says nothing about quality, and copies of different training images are as diverse as
        these.
    """

    def __call__(self, real: Images, fake: Images) -> Mapping[str, QualityMeasure]:
        """Return {"ms-ssim": ...}; NaN where there is one image only."""
        kernel, weights = settings(fake.spec.shape)
        note = "One image has no other to compare with."
        if min(len(real), len(fake)) > 1:
            scales = f"{len(weights)} of the {len(WEIGHTS)} published scales"
            note = f"At {scales}, kernel of {many(kernel, 'voxel')}."
        return {"ms-ssim": QualityMeasure(_mean(fake), _mean(real), "real", "each other", note)}


def settings(shape: Sequence[int]) -> tuple[int, tuple[float, ...]]:
    """Return the kernel's size, odd and 11 at most, and the weights for images of a shape S.

    >>> [(kernel, len(weights)) for kernel, weights in (settings((n, n)) for n in (256, 64, 32))]
    [(11, 5), (7, 4), (7, 3)]
    """
    for scales in range(len(WEIGHTS), 1, -1):
        # The coarsest scale must hold the kernel, and MONAI asks for the second bound besides.
        room = min(min(shape) // 2 ** (scales - 1), min(shape) // (scales - 1) ** 2)
        if room >= LEAST_KERNEL:
            break
    kernel = min(11, room - (room + 1) % 2)
    weights = np.array(WEIGHTS[:scales])
    return kernel, tuple((weights / weights.sum()).tolist())


def _mean(images: Images) -> float:
    """Mean over all images of the MS-SSIM with another one; NaN if there is only one."""
    count = len(images)
    if count < 2:
        return float("nan")
    kernel, weights = settings(images.spec.shape)
    rng = np.random.default_rng(derive(0, "ms-ssim", count))
    other = (np.arange(count) + rng.integers(1, count, count)) % count  # never the image itself
    values = []
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        with torch.no_grad():
            found = compute_ms_ssim(
                (images.read(rows) + 1) / 2,
                (images.read(other[start : rows.stop].tolist()) + 1) / 2,
                spatial_dims=images.spec.dims,
                data_range=1.0,
                kernel_size=[kernel] * images.spec.dims,
                kernel_sigma=[1.5] * images.spec.dims,
                weights=weights,
            )
        values += found.flatten().tolist()
    return float(np.mean(values))
