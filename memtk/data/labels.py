"""Label maps, masks, previews: what lies among images and is none, by its name or its voxels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import numpy as np

from memtk.data.patients import without_accents
from memtk.imaging.intensity import Palette, count_codes, palette_of

LABELS = "labels or masks, by their names"
"""Why an image is left out; `data.labels=keep` takes it in again."""

DESCRIBING = "arrays that describe an image"
"""Why an array beside images is left out."""

PREVIEWS = "previews of images, by their names"
"""Why one is left out where there are other images."""

_JOINED = "tr|ts|train|test|val|class|object|map|image|img|fine|coarse|png|nii"

NOUNS = re.compile(
    r"(?:(?!(?:un|da|re|mis)(?:mask|seg|label))[a-z]*(?:mask|seg|label)s?"  # lungmask, aseg
    r"|maske[nr]?|mask[ai]|masques?|mascaras?|mascher[ae]|маск[аи]|trimaps?|segm|msk|lbls?"
    r"|segment(?:a[ct][a-z]+|azion[ei]|asyon|ierung(?:en)?|ering(?:ar|er)?)|сегментация|разметка"
    r"|annotation(?:s|en|er)?|anotacion(?:es)?|annotazion[ei]|anotac(?:ao|oes)|annotaties?"
    r"|etiquet(?:a|te)s?|etichett[ae]|groundtruths?|goldstandard|veriteterrain"
    rf"|.*(?:掩[码膜模]|蒙版|标[签注]|標[籤註]|マスク|ラヘル).*)(?:(?:{_JOINED})s?)*"
)
"""A word that says so wherever it stands in the name of a file, in several languages."""

ENDS = re.compile(
    rf"(?:{_JOINED})*(?:gt|truth|roi|contour|contorno|kontur|annot?|parc|parcellation|aparc|wmparc"
    rf"|delineation|gtv|ctv|ptv|pve|prob|probabilit(?:y|ie)|softmax|logit|heatmap"
    rf"|superpixel|gradcam|saliency|overlay)s?(?:{_JOINED})*"
)
"""A word that says so at the beginning of a file's name, or at the end of any name."""

BESIDE = re.compile(
    rf"(?:(?:(?:{_JOINED})s?)+|[lrvab]|training|testing|valid|validation|classes|instances?|files?|folder"
    r"|dir|ver|version|jpe?g|tiff?|bmp|nifti|npy|gz|cropped|crop|resized?|resampled|registered"
    r"|final|new|old|all|full|raw|orig|original|fixed|corrected|clean|bin|binary|manual|auto|pred"
    r"|predicted|predictions?|color|rgb|left|right|copy|only|public|set)"
)
"""Words behind one of those that leave it what it is."""

BEFORE = frozenset({"no", "non", "not", "without", "with", "and", "ohne", "mit", "sans", "avec"})
BEHIND = frozenset(
    {
        *("free", "less", "removed", "off", "noise", "guided", "conditioned", "conditional", "to"),
        *("rcnn", "cnn", "former", "net", "gan", "git", "dit", "study", "studio", "and", "with"),
        *("task", "challenge", "data", "dataset", "project", "model", "trial", "cohort", "aware"),
    }
)
"""Words around one of those that make something else of it: label_free, mask2ct, without_mask."""

PREVIEW_WORDS = frozenset(
    {
        *("thumbnail", "thumbnails", "preview", "previews", "vorschau", "apercu", "miniature"),
        *("vignette", "vignettes", "miniatures", "miniatura", "miniaturas", "anteprima"),
    }
)
"""Words of the names of previews, which programs leave beside images; a thumb is an image."""

TABLES = frozenset(
    {
        *("affine", "spacing", "origin", "direction", "header", "meta", "metadata", "info"),
        *("weight", "weights", "age", "sex", "bbox", "bboxes", "landmarks", "keypoints", "coords"),
        *("prob", "probs", "probability", "probabilities", "softmax", "logits", "heatmap"),
        *("saliency", "uncertainty", "confidence", "mu", "sigma", "cov", "covariance"),
    }
)
"""Last words of the names of arrays that describe the image beside them."""

FEW, MANY = 8, 1024
"""So few values are those of a label map; one of more regions has so many at most."""

SAME, APART = 0.6, 0.16
"""Neighbours within regions are the same, at least this share of them; where they are not, the
numbers of two regions lie this share of all values apart, on average. Of 17 to 100 grey levels of
X-rays and MRI the second is at most 0.08, of maps of 20 to 400 regions at least 0.2."""

BLURRED = 0.15
"""At most this share of probabilities lies between both levels, where they are those of a mask."""

INSIDE, PIECES = (0.2, 0.66), (1.5, 6.0)
"""A map of regions has at least this share of voxels inside them, and at most as many pieces a
value: regions are one each; layers are thick, and broken where others cross them."""


def names_labels(name: str, *, folder: bool = False) -> bool:
    """Tell whether the name of a file, an array or a folder says that it holds labels or masks.

    >>> [names_labels(n) for n in ("p1_seg_v2.nii.gz", "label0003.png", "LUNGMASK.nii", "label")]
    [True, True, True, True]
    >>> [names_labels(n) for n in ("p1_segmented_t1.nii", "masked.png", "gtx.npy", "imaging")]
    [False, False, False, False]
    """
    words = words_of(name if folder else re.sub(r"(\.(nii|ome))?\.[A-Za-z]\w{0,5}$", "", name))
    around = zip(words, ["", *words], [*words[1:], ""], strict=False)
    plain = [one[1] not in BEFORE and one[2] not in BEHIND for one in around]
    nouns = [ok and bool(NOUNS.fullmatch(w)) for ok, w in zip(plain, words, strict=True)]
    ends = [ok and bool(ENDS.fullmatch(w)) for ok, w in zip(plain, words, strict=True)]
    if not folder and (any(nouns) or any(ends[:1])):
        return True
    last = len(words) - 1
    while last > 0 and BESIDE.fullmatch(words[last]) and not (nouns[last] or ends[last]):
        last -= 1
    first = re.match(r".*s$|mask|label|mas[qc]|segmenta[cz]i", words[0]) if words else None
    return bool(words) and (nouns[last] or ends[last] or (nouns[0] and first is not None))


def array_names_no_image(name: str) -> str:
    """Say why an array of this name is no image, "" if it may be one.

    >>> [array_names_no_image(n) for n in ("image", "patient1", "t1_weighted", "ct_image", "x")]
    ['', '', '', '', '']
    >>> [array_names_no_image(n)[:6] for n in ("img_meta", "weight", "y_train", "Y", "seg")]
    ['arrays', 'arrays', 'labels', 'labels', 'labels']
    """
    words = words_of(name)
    if words and words[-1] in TABLES:
        return DESCRIBING
    is_y = "y" in words and {*words} <= {"y", "train", "test", "val"}
    return LABELS if is_y or names_labels(name) else ""


def words_of(name: str) -> list[str]:
    """Return the words of a name without accents, parted by signs, digits and capitals.

    >>> words_of("p1_leftMask-003"), words_of("Máscaras GTs"), words_of("mask2ct")
    (['p', 'left', 'mask'], ['mascaras', 'gts'], ['mask', 'to', 'ct'])
    """
    plain = re.sub(r"(?<=[A-Za-z])2(?=[A-Za-z]{2})(?!mm)", " to ", without_accents(name))
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", plain)
    words = re.sub(r"[\W\d_]+", " ", parted).casefold()
    return re.sub(r"\b(ground|gold|verite) (?=truth|standard|terrain)", r"\1", words).split()


def path_names_labels(path: PurePath) -> bool:
    """Tell whether the name of a file, or of a folder above it, says that it holds labels.

    Args:
        path: below the folder of all images.

    >>> [path_names_labels(PurePath(p)) for p in ("labelsTr/a.nii", "label_free/a.nii")]
    [True, False]
    """
    *folders, name = path.parts
    return names_labels(name) or any(names_labels(each, folder=True) for each in folders)


def path_names_preview(path: PurePath) -> bool:
    """Tell the same of previews.

    >>> [path_names_preview(PurePath(p)) for p in ("a/thumbnail.jpg", "previews/1.png", "thumb")]
    [True, True, False]
    """
    return any(PREVIEW_WORDS & {*words_of(part)} for part in path.parts)


def looks_like_labels(image: Palette | np.ndarray) -> bool:
    """Tell whether an image has few values, or flat regions of one each, as maps and masks have.

    Up to `FEW` are those of a map, each of 16 voxels or more on average: 0, 0.5 and 1 too. More
    are, up to `MANY`, where neighbours are mostly the same, and where they are not the values of
    two regions meet, which are not near to one another as grey levels are; or where each value is
    that of few pieces, in whatever order: layers, regions numbered row by row. So are those that
    nearly all lie at one of two levels.

    Args:
        image: (C, *S), or its palette.

    >>> regions = np.random.default_rng(0).integers(0, 30, (1, 8, 8)).repeat(8, 1).repeat(8, 2)
    >>> [looks_like_labels(x) for x in (regions, np.arange(4096).reshape(1, 64, 64) // 137)]
    [True, False]
    """
    palette = image if isinstance(image, Palette) else palette_of(image)
    values, codes, counts = palette.values, palette.codes, palette.counts
    size = values.size if codes is None else codes.size
    if counts is not None and np.count_nonzero(counts) <= min(FEW, size // 16):
        return True
    if size >= 256 and _in_two_levels(values, counts):
        return True
    if size < 1024 or codes is None or counts is None:
        return False
    if len(values) > MANY:
        some = np.unique(codes.ravel(order="K")[:: max(1, size // 4096)])
        if len(some) > MANY:
            return False
    if any(map(_in_few_pieces, _planes(codes))):
        return True
    planes = max(1, 2**18 * codes.shape[1] // size)
    if planes < codes.shape[1]:
        first = (codes.shape[1] - planes) // 2
        codes = codes[:, first : first + planes].copy(order="K")
        counts = count_codes(codes, len(values))
    return _in_regions(codes, len(values), np.flatnonzero(counts), int(np.argmax(counts)))


def _in_two_levels(values: np.ndarray, counts: np.ndarray | None) -> bool:
    """Tell whether nearly all voxels are dark or bright, and fewer lie between than are either.

    So are masks that were resampled or saved as JPEG, and probabilities, which lie in [0, 1] and
    may be blurred. Of X-rays, MRI and CT up to 65% lie so near to both ends, in a narrow window
    more.

    Args:
        values: of voxels, in any order.
        counts: how often there is each; None: once.
    """
    shares = 1 / values.size if counts is None else counts / counts.sum()
    there = values if counts is None else values[counts > 0]
    low, high = float(there.min()), float(there.max())
    dark = float((shares * (values <= low + (high - low) / 10)).sum())
    bright = float((shares * (values >= high - (high - low) / 10)).sum())
    middle = 1 - dark - bright
    probable = low >= 0 and 0.5 < high <= 1 and bool((there % 1).any())
    between, least = (BLURRED, 0.002) if probable else (0.02, 0.01)
    return middle <= between and min(dark, bright) >= max(least, middle / 2)


def _planes(codes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield planes through the middle: a picture itself, two of a volume across each other."""
    first = codes[0]
    if first.ndim == 2:
        yield first
    else:
        yield first[len(first) // 2]
        yield first[..., first.shape[-1] // 2]


def _in_few_pieces(plane: np.ndarray) -> bool:
    """Tell whether each value of a plane (H, W) is that of one flat piece, or of few.

    Of the levels of X-rays and MRI, 10 to 256 of them, each has 9 pieces or more on average, of
    regions 1, of layers 2 to 6. Inside are those that are like all four neighbours.
    """
    if min(plane.shape) < 8:
        return False
    down, room = plane[1:] == plane[:-1], (plane.shape[0] - 2) * (plane.shape[1] - 2)
    if np.count_nonzero(down) / room < INSIDE[0]:  # fewer still are like all four
        return False
    right = plane[:, 1:] == plane[:, :-1]
    alike = down[1:, 1:-1] & down[:-1, 1:-1] & right[1:-1, 1:] & right[1:-1, :-1]
    if (inside := np.count_nonzero(alike) / room) < INSIDE[0]:
        return False
    values = len(np.unique(plane))
    if not FEW < values <= min(MANY, plane.size // 9):
        return False
    from skimage.measure import label  # half a second, and seldom needed

    pieces = label(plane, background=-1, return_num=True, connectivity=1)[1] / values
    return any(inside >= i and pieces <= p for i, p in zip(INSIDE, PIECES, strict=True))


def _in_regions(codes: np.ndarray, count: int, there: np.ndarray, common: int) -> bool:
    """Tell whether neighbours are the same or of regions; (C, *S), along the last two axes.

    Args:
        count: of the codes.
        there: the codes that a voxel has, ascending.
        common: the one that most have.
    """
    if len(there) > min(MANY, codes.size // 30):
        return False
    around = np.unique([common, there[0], there[-1]])  # air, no organ, beyond a window
    before = [codes[..., :-1], codes[..., :-1, :]]
    behind = [codes[..., 1:], codes[..., 1:, :]]
    pairs = sum(each.size for each in before)
    down = before[1] == behind[1]
    if np.count_nonzero(down) + before[0].size < SAME * pairs:  # whatever lies beside each other
        return False
    same = [before[0] == behind[0], down]
    alike = sum(map(np.count_nonzero, same))
    apart = pairs - alike
    if not apart or alike < SAME * pairs:  # without those around the share is smaller still
        return False
    known = zip(before, same, strict=True)
    alike -= sum(count_codes(a[equal], count)[around].sum() for a, equal in known)
    if alike < SAME * (alike + apart):
        return False
    ranks = there.searchsorted(np.arange(count))
    steps = sum(np.abs(ranks[a] - ranks[b]).sum() for a, b in zip(before, behind, strict=True))
    return bool(steps / apart >= 1 + APART * len(there))
