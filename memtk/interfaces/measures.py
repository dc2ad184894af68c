"""What measures a synthetic set, or a generator: protocols, quality metrics, membership attacks."""

from __future__ import annotations

import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from torch import Tensor

from memtk.interfaces.images import Images
from memtk.interfaces.models import Generator, Similarity
from memtk.noise import Noise

Side = Literal["training", "synthetic", "validation", ""]
"""Whose images, or patients, a measure counts; empty for what counts none, such as a threshold."""


@dataclass(frozen=True)
class Measure:
    """One number of a protocol, with what a generator that has memorized nothing would score.

    Args:
        value: a share in [0, 1] where `of` is given, else a number. None where it cannot be had:
            then `note` says why.
        title: what it is, in a few words: "training images memorized".
        side: whose images or patients it counts.
        count: how many images or patients; it may be an expectation, and no whole number.
        of: how many there are.
        null: `value` of a generator that has memorized nothing; None where it is not known.
        interval: of `value`, low and high. Of a share without one, memtk shows that of a binomial
            proportion, with patients as the trials on the side of the training images.
        better: which values are good; empty where none are.
        note: what a reader must know of this very number, in a sentence. Empty if nothing.
    """

    value: float | None
    title: str
    side: Side
    count: float | None = None
    of: int | None = None
    null: float | None = None
    interval: tuple[float, float] | None = None
    better: Literal["lower", "higher", ""] = "lower"
    note: str = ""


@dataclass(frozen=True)
class Levels:
    """How sure one must be.

    Args:
        alpha: level of a test of a single image, in (0, 1).
        fdr: false discovery rate of what is flagged, in (0, 1).
        confidence: of intervals, in (0, 1).
    """

    alpha: float = 0.05
    fdr: float = 0.1
    confidence: float = 0.95


@dataclass(frozen=True)
class Similarities:
    """The nearest similarities of one synthetic set, as they lie in `arrays.h5`.

    `a_b` is the similarity of each image of the set a to its nearest image of the set b, float64,
    larger = more alike; `a_b_index` which image that is, int64; `a_b_above` how many images of b
    are above the threshold of the reference rule, int64. Sizes: N training, V validation, M
    synthetic images. Those of the first twelve come from an embedder that has seen the training
    images alone. Those that begin with `exposure_` come from one that has seen the synthetic images
    alone, and are None where the exposure was not tested. In image space, or with an embedder that
    has seen neither side, both are the same.

    Args:
        train_validation: (N,), with its index.
        validation_train: (V,), with its index.
        train_synthetic: (N,), with its index and the counts above the threshold.
        synthetic_train: (M,), likewise.
        exposure_train_synthetic: (N,), with its index.
        exposure_synthetic_train: (M,), likewise.
        exposure_validation_synthetic: (V,), likewise.
        exposure_synthetic_validation: (M,), likewise.
        training_patients: the patient of each training image, (N,); if empty, each is another.
        validation_patients: of each validation image, (V,); likewise.
        planted: similarity of each planted copy to its nearest training image, (K,), one copy a
            patient; None without a self-test. It does not depend on the synthetic set.
    """

    train_validation: np.ndarray
    validation_train: np.ndarray
    train_synthetic: np.ndarray
    synthetic_train: np.ndarray
    train_validation_index: np.ndarray | None = None
    validation_train_index: np.ndarray | None = None
    train_synthetic_index: np.ndarray | None = None
    synthetic_train_index: np.ndarray | None = None
    train_synthetic_above: np.ndarray | None = None
    synthetic_train_above: np.ndarray | None = None
    exposure_train_synthetic: np.ndarray | None = None
    exposure_synthetic_train: np.ndarray | None = None
    exposure_validation_synthetic: np.ndarray | None = None
    exposure_synthetic_validation: np.ndarray | None = None
    exposure_train_synthetic_index: np.ndarray | None = None
    exposure_synthetic_train_index: np.ndarray | None = None
    exposure_validation_synthetic_index: np.ndarray | None = None
    exposure_synthetic_validation_index: np.ndarray | None = None
    training_patients: Sequence[Hashable] = ()
    validation_patients: Sequence[Hashable] = ()
    planted: np.ndarray | None = None

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Similarities:
        """Take what belongs here out of a group of `arrays.h5`.

        Raises:
            KeyError: if one of the first four similarities is missing.
        """
        needed = ("train_validation", "validation_train", "train_synthetic", "synthetic_train")
        names = {f.name for f in fields(cls)} & arrays.keys()
        return cls(
            **{name: arrays[name] for name in names.union(needed)},
            training_patients=arrays.get("training_patient", np.zeros(0)).tolist(),
            validation_patients=arrays.get("validation_patient", np.zeros(0)).tolist(),
        )


@dataclass(frozen=True)
class ProtocolTable:
    """What a protocol says of one synthetic set.

    Args:
        measures: by a key that stays the same ("n_mem"), in the order in which they are shown; of
            the first one the curve over checkpoints is drawn.
        flags: which images it flags, by the name of the set, bool: "training" (N,), "synthetic"
            (M,), "validation" (V,).
    """

    measures: Mapping[str, Measure]
    flags: Mapping[str, np.ndarray] = field(default_factory=dict)


class Protocol(typing.Protocol):
    """A way to measure memorization.

    It is a pure function: the same similarities and levels give the same table, and it changes
    nothing that it is given. So it can be applied to finished runs as well (`memtk results
    recompute`). What passes or fails an audit is fixed in memtk itself: no protocol of a plugin
    decides that.
    """

    def __call__(self, similarities: Similarities, levels: Levels) -> ProtocolTable:
        """Return the measures of one synthetic set, and which images are flagged."""
        ...


Better = Literal["higher", "lower", "real"]
"""Which values are good: high ones, low ones, or those that real images have among themselves."""


@dataclass(frozen=True)
class QualityMeasure:
    """One number on a set of synthetic images, with what real images score.

    Args:
        value: of the synthetic images; NaN where it is undefined, with the reason in `note`.
        real: the same with real images in the place of the synthetic ones: the line to compare
            with. None where there is none.
        better: which values are good.
        against: what the synthetic images were compared with, in a few words: "validation images".
        note: what a reader must know of this very number, in a sentence: a pitfall that bites at
            these sizes. Empty where there is nothing to say.
    """

    value: float
    real: float | None = None
    better: Better = "real"
    against: str = ""
    note: str = ""


@dataclass(frozen=True)
class Features:
    """What one network makes of all images of a cell, float32, a row an image.

    Args:
        training: the images that the generator learned from, (N, D).
        validation: real images of other patients, (V, D).
        synthetic: (M, D).
    """

    training: np.ndarray
    validation: np.ndarray
    synthetic: np.ndarray


class QualityMetric(typing.Protocol):
    """Compares a set of synthetic images with a set of real ones.

    Class attributes:
        space: what it compares. "image", also where it is missing: it is called with the validation
            and the synthetic images. "features": it is a `FeatureMetric`.
    """

    def __call__(self, real: Images, fake: Images) -> Mapping[str, float | QualityMeasure]:
        """Return the measures by name; a float does not say which values are good."""
        ...


class FeatureMetric(typing.Protocol):
    """Compares sets of feature vectors, which the core computes once for all such metrics.

    They are made by the extractor of the bench: its copy detector, or another embedder that the
    option `extractor` names. Its name is a part of the measure's: "fid[medicalnet3d]".
    """

    space: Literal["features"]

    def __call__(self, features: Features) -> Mapping[str, float | QualityMeasure]:
        """Return the measures by name."""
        ...


Work = Callable[[Tensor, Noise], Tensor]
"""`(x (B, C, *S), noise)` -> a score for each image, (B,)."""


@dataclass(frozen=True)
class Target:
    """What an attack is given: a trained generator and what came out of it. No training image.

    Args:
        generator: in eval mode, with the weights that are attacked.
        synthetic: what it gave, (M); what would be released.
        each: runs a `Work` over a set of images: float64 (N,). The core does it batch by batch on
            the run's devices, without gradient, with stream i of `noise` for image i, so that no
            score depends on the batch.
        embed: maps a set of images to embeddings (N, D), by an embedder that saw the synthetic
            images alone or comes trained, so neither side of the question; None where the run has
            no embedder.
        similarity: of two embeddings; None likewise.
        strangers: images of patients whom neither generator nor attack has seen, None without any.
    """

    generator: Generator
    synthetic: Images
    each: Callable[[Images, Work], np.ndarray]
    embed: Callable[[Images], np.ndarray] | None = None
    similarity: Similarity | None = None
    strangers: Images | None = None


class Attack(typing.Protocol):
    """Scores images by how sure it is that the generator was trained on them.

    Members and non-members come in one set, and an attack is not told which is which: what it
    could learn from that would be no attack. A class with a `Config` is made as `cls(config)`, else
    as `cls()`.

    Attributes:
        uses: the optional methods of a generator that it calls: ("denoising_loss",). It is not run
            on a generator that lacks one.

    Optional methods, used where a class has them:
        `describe(target) -> str`: what is compared here, as a sentence for the report.
        `check(embedder, held_out)`: raise a UserError, before anything is trained, where the
            settings ask in vain for an embedder or for held-out images (two bools: are there any?).
    """

    uses: tuple[str, ...]

    def score(self, target: Target, images: Images) -> np.ndarray:
        """Return a score for each image, (N,), finite; higher = more likely a member."""
        ...
