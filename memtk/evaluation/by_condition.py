"""Memorization and quality for each group of images that a conditional generator was told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from memtk.components import ConfiguredComponent
from memtk.data.conditions import group_names, groups_of
from memtk.data.images import StoredImages
from memtk.evaluation.detector import EmbeddedSets
from memtk.evaluation.quality import measure_quality
from memtk.evaluation.rates import rates_of
from memtk.evaluation.sides import Groups
from memtk.evaluation.statistics import exposed_of, tests_of
from memtk.interfaces import Levels
from memtk.results import ByCondition, QualityInterval

FEWEST_PATIENTS = 20
"""Validation patients of a group with which it is compared within: the model of the strangers'
tail needs as many (see `memtk.memorization.tail_test`)."""

FEWEST_PLANTED = 10
"""Planted copies of a group from which its sensitivity is taken."""

FEWEST_IMAGES = 20
"""Synthetic images of a group, and validation images of it, from which its quality is taken."""

FOLDS = 10
"""Parts of the synthetic images of which each is left out once for an interval of quality."""


@dataclass(frozen=True)
class _Part:
    """Which images belong to a group, bool: (N,), (V,) and (M,)."""

    training: np.ndarray
    validation: np.ndarray
    synthetic: np.ndarray


def by_condition(
    groups: Groups,
    sets: tuple[StoredImages, StoredImages, StoredImages],
    levels: Levels,
    seed: int,
    quality: Callable[[np.ndarray, np.ndarray], dict[str, float]],
) -> list[ByCondition]:
    """Return what was found in each group, none where the samples were not told anything.

    Synthetic images that were to be of a group, and training patients with images of it, are
    compared with the validation images of the same group (so that a group whose images are much
    alike does not look memorized), all against the whole training set: a copy of an image of
    another group is a copy too. Where a group has fewer than `FEWEST_PATIENTS` validation patients
    it is compared with all of them, which the record says.

    Args:
        groups: the similarities of the whole set.
        sets: the training, validation and synthetic images, of which their conditions are read.
        levels: of the tests and intervals; each group has them for itself.
        quality: which synthetic (M,) and validation images (V,) -> measures by name.
    """
    training, validation, synthetic = (images.conditions for images in sets)
    conditions = sets[2].spec.conditions
    if training is None or validation is None or synthetic is None:
        return []
    names = group_names(conditions, training)
    masks = (groups_of(conditions, codes, training) for codes in (training, validation, synthetic))
    parts = [_Part(*(each.numpy() for each in one)) for one in zip(*masks, strict=True)]
    return [
        _found(groups, name, part, levels, seed, quality)
        for name, part in zip(names, parts, strict=True)
        if part.synthetic.any() or part.training.any()
    ]


def _found(
    groups: Groups,
    name: tuple[str, str],
    part: _Part,
    levels: Levels,
    seed: int,
    quality: Callable[[np.ndarray, np.ndarray], dict[str, float]],
) -> ByCondition:
    validation = _people(groups.validation, part.validation)
    within = validation >= FEWEST_PATIENTS
    strangers = part.validation if within else np.ones_like(part.validation)
    found = ByCondition(
        column=name[0],
        value=name[1],
        n_synthetic=int(part.synthetic.sum()),
        training_images=int(part.training.sum()),
        training_patients=_people(groups.training, part.training),
        validation_patients=validation,
        within=within,
    )
    exposed = None
    if groups.has_exposure and part.training.any():
        own = _part_of(groups, _Part(part.training, strangers, part.synthetic), exposure=True)
        exposed = exposed_of(own, levels, seed)
        found = found.model_copy(update={"exposed": exposed})
    if part.synthetic.any():
        own = _part_of(groups, replace(part, validation=strangers))
        tests = tests_of(own, levels, seed)
        rates = rates_of(tests.copies, tests.comparable, own, levels, seed, exposed, by_these=False)
        found = found.model_copy(
            update={
                "copies": tests.copies.named(levels.fdr),
                "copy_rate": rates["copy_rate"],
                "quality": _intervals(quality, part, levels.confidence),
            }
        )
    return found


def _part_of(groups: Groups, part: _Part, *, exposure: bool = False) -> Groups:
    """Return the similarities of a part of the images.

    Args:
        exposure: of the training images of the part, and no copies; else of the copies, with all
            training images.
    """
    arrays = dict(groups.arrays)
    for name in ("training_stratum", "validation_stratum"):  # one way to compare within a group
        arrays.pop(name, None)
    by = {"validation_": part.validation, "exposure_validation_": part.validation}
    if exposure:
        by["exposure_train_"] = part.training
    else:
        by |= {"synthetic_": part.synthetic, "exposure_synthetic_": part.synthetic}
    for name in arrays:
        for prefix, rows in by.items():
            if name.startswith(prefix) and len(arrays[name]) == len(rows):
                arrays[name] = arrays[name][rows]
    if "planted_source" in arrays:
        made = part.training[arrays["planted_source"]]
        if made.sum() >= FEWEST_PLANTED:
            for name in ("planted", "planted_source", "exposure_planted"):
                if name in arrays:
                    arrays[name] = arrays[name][made]
    training = _some(groups.training, part.training) if exposure else groups.training
    return replace(
        groups,
        arrays=arrays,
        training=training,
        validation=_some(groups.validation, part.validation),
    )


def _some(patients: Sequence[object], rows: np.ndarray) -> list[object]:
    return [patients[row] for row in np.flatnonzero(rows).tolist()] if len(patients) else []


def _people(patients: Sequence[object], rows: np.ndarray) -> int:
    return len(set(_some(patients, rows))) if len(patients) else int(rows.sum())


def _intervals(
    quality: Callable[[np.ndarray, np.ndarray], dict[str, float]], part: _Part, confidence: float
) -> dict[str, QualityInterval]:
    """Return measures of quality with intervals over the synthetic images.

    By the jackknife that leaves a tenth of them out (Efron and Tibshirani 1993, section 11): with G
    parts, the variance is (G - 1) / G times the sum of squares of what leaving one out changes, and
    the interval that of Student's t with G - 1 degrees of freedom. The real images are taken as
    they are. With fewer than `FEWEST_IMAGES` of either there is none.
    """
    rows, real = np.flatnonzero(part.synthetic), np.flatnonzero(part.validation)
    if min(len(rows), len(real)) < FEWEST_IMAGES:
        return {}
    if not (whole := quality(rows, real)):
        return {}
    without = [quality(np.delete(rows, np.s_[fold::FOLDS]), real) for fold in range(FOLDS)]
    reach = float(student.ppf((1 + confidence) / 2, FOLDS - 1))
    found = {}
    for name, estimate in whole.items():
        values = np.array([each.get(name, math.nan) for each in without])
        error = math.sqrt((FOLDS - 1) * float(values.var()))
        if math.isfinite(error):
            low, high = estimate - reach * error, estimate + reach * error
            found[name] = QualityInterval(estimate=estimate, low=low, high=high)
    return found


def quality_of_part(
    parts: Sequence[ConfiguredComponent],
    seen: EmbeddedSets | None,
    images: tuple[StoredImages, StoredImages],
    extractor: str,
) -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    """Return what measures the quality of some synthetic images against some validation images.

    Args:
        seen: what the extractor sees; None where no metric asks for features.
        images: the validation and the synthetic images.
    """
    rows: dict[str, np.ndarray] = {}
    if seen is not None and seen.synthetic is not None:
        rows = {n: np.asarray(getattr(seen, n)[:]) for n in ("validation", "synthetic")}

    def measure(synthetic: np.ndarray, validation: np.ndarray) -> dict[str, float]:
        some = seen
        if seen is not None and rows:
            some = replace(
                seen,
                validation=rows["validation"][validation],
                synthetic=rows["synthetic"][synthetic],
            )
        real, made = (
            each.subset(which.tolist())
            for each, which in zip(images, (validation, synthetic), strict=True)
        )
        return measure_quality(parts, some, real, made, extractor)[0]

    return measure
