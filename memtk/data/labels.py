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

FEW = 16
"""A label map has at most so many values, all of them whole, where an image has many."""


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
    """Tell whether an image has few values, all of them whole: as label maps and masks have.

    >>> looks_like_labels(np.arange(4096) % 5), looks_like_labels(np.arange(4096) % 50)
    (True, False)
    """
    flat = voxels.ravel(order="K")
    if flat.size < 64 * FEW:
        return False
    some = np.unique(flat[:: max(1, flat.size // 4096)])
    if len(some) > FEW or (some != np.round(some)).any():
        return False
    every = np.unique(flat)
    return len(every) <= FEW and bool((every == np.round(every)).all())
