"""Label maps, masks and segmentations: what lies among images and is none, by name or voxels."""

from __future__ import annotations

import re
from pathlib import PurePath

import numpy as np

LABELS = "labels or masks, by their names"
"""Why an image is left out; `data.labels=keep` takes it in again."""

WORDS = frozenset(
    {
        *("label", "labels", "labelmap", "mask", "masks", "seg", "segs", "segmentation", "dseg"),
        *("segmentations", "probseg", "groundtruth", "gt", "annotation", "annotations", "roi"),
        *("rois", "contour", "contours", "aparc", "truth", "annot", "parcellation", "wmparc"),
    }
)
"""The first or last word of a file's name that says so, number and suffix left out; of a folder's
name the last one."""

ANYWHERE = re.compile(r"[a-z]*(mask|seg|label)s?|segm|msk|lbl|segmentations?|labelmap")
"""A word of a file's name that says so wherever it stands: lungmask, aseg, p1_seg_v2."""

FOLDERS = re.compile(r"^(labels?|masks?|segmentations?|annotations?)(tr|ts|val)?$", re.IGNORECASE)

TABLES = frozenset({"affine", "spacing", "origin", "direction", "header", "meta", "metadata"})
"""Names of arrays that describe the image beside them."""

FEW, MANY = 8, 1024
"""So few values, all of them whole, are those of a label map; one of more regions has so many at
most, where an image has as many or more."""

SAME, APART = 0.6, 0.16
"""Neighbours within regions are the same, at least this share of them; where they are not, the
numbers of two regions lie this share of all values apart, on average. Of 17 to 100 grey levels of
X-rays and MRI the second is at most 0.08, of maps of 20 to 400 regions at least 0.2."""


def names_labels(name: str, *, folder: bool = False) -> bool:
    """Tell whether the name of a file, an array or a folder says that it holds labels or masks.

    >>> [names_labels(n) for n in ("p1_seg_v2.nii.gz", "label0003.png", "LUNGMASK.nii", "label")]
    [True, True, True, True]
    >>> [names_labels(n) for n in ("p1_segmented_t1.nii", "masked.png", "gtx.npy", "imaging")]
    [False, False, False, False]
    """
    stem = name if folder else re.sub(r"(\.(nii|ome))?\.[A-Za-z]\w{0,5}$", "", name)
    if FOLDERS.match(stem):
        return True
    # p1_leftMask-003: words are parted by signs, digits and capitals
    words = [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", stem)]
    if any(word in WORDS for word in words[-1:] + ([] if folder else words[:1])):
        return True
    return not folder and any(ANYWHERE.fullmatch(word) for word in words)


def path_names_labels(path: PurePath) -> bool:
    """Tell whether the name of a file, or of a folder above it, says that it holds labels.

    Args:
        path: below the folder of all images.

    >>> [path_names_labels(PurePath(p)) for p in ("labelsTr/a.nii", "label_free/a.nii")]
    [True, False]
    """
    *folders, name = path.parts
    return names_labels(name) or any(names_labels(each, folder=True) for each in folders)


def looks_like_labels(voxels: np.ndarray) -> bool:
    """Tell whether an image has whole values, as label maps and masks have: few, or in regions.

    Up to `FEW` are those of a map. More are, up to `MANY`, where neighbours are mostly the same,
    and where they are not the values of two regions meet, which are not near to one another as
    grey levels are, however few.

    Args:
        voxels: (C, *S).

    >>> regions = np.random.default_rng(0).integers(0, 30, (1, 8, 8)).repeat(8, 1).repeat(8, 2)
    >>> [looks_like_labels(x) for x in (regions, np.arange(4096).reshape(1, 64, 64) // 137)]
    [True, False]
    """
    flat = voxels.ravel(order="K")
    some = np.unique(flat[:: max(1, flat.size // 4096)])
    if flat.size < 1024 or len(some) > MANY or (some != np.round(some)).any():
        return False
    if len(some) <= FEW and len(every := np.unique(flat)) <= FEW:
        return bool((every == np.round(every)).all())
    planes = max(1, 2**18 * voxels.shape[1] // flat.size)
    first = (voxels.shape[1] - planes) // 2
    middle = voxels[:, max(0, first) : max(0, first) + planes]
    return _in_regions(middle)


def _in_regions(voxels: np.ndarray) -> bool:
    """Tell whether neighbours are the same or of regions; (C, *S), along the last two axes."""
    values, ranks = np.unique(voxels, return_inverse=True)
    if len(values) > min(MANY, voxels.size // 30) or (values != np.round(values)).any():
        return False
    ranks = ranks.reshape(voxels.shape)
    common = np.bincount(ranks.reshape(-1)).argmax()
    around = np.isin(ranks, [int(common), 0, len(values) - 1])  # air, no organ, beyond a window
    steps = []
    for axis in (-1, -2):
        step = np.abs(np.diff(ranks, axis=axis))
        steps.append(step[(step > 0) | ~np.delete(around, 0, axis)])
    step = np.concatenate(steps)
    apart = step[step > 0]
    if not len(apart) or 1 - len(apart) / len(step) < SAME:
        return False
    return bool(apart.mean() >= 1 + APART * len(values))
