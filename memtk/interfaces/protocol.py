"""Measures of memorization: pure functions of nearest similarities."""

from __future__ import annotations

import typing
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

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
