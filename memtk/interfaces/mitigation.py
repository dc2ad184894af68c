"""Ways to make a generator memorize less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from memtk.interfaces.images import Images, PatientImages
from memtk.interfaces.models import Similarity
from memtk.interfaces.settings import ComponentConfig, Private
from memtk.noise import Noise


class Stage(StrEnum):
    """The stages of a bench cell; `memtk.bench.pipeline.STAGES` says in which order."""

    ADJUST = "adjust"
    CHOOSE = "choose"
    THIN = "thin"
    TEACH = "teach"
    TRAIN = "train"
    SAMPLE = "sample"
    EVALUATE = "evaluate"
    STOP = "stop"
    SCREEN = "screen"
    REEVALUATE = "reevaluate"
    ATTACK = "attack"
    RECORD = "record"


@dataclass(frozen=True)
class Choice:
    """What a mitigation chose, and why.

    Args:
        indices: of what is kept, int64 (K,), ascending.
        why: one or two sentences for the result and the report, with the figures that decided. They
            name no file and no patient.
    """

    indices: np.ndarray
    why: str = ""


@dataclass(frozen=True)
class CheckpointScores:
    """Memorization and quality at one checkpoint, for a mitigation that chooses among them.

    Args:
        step: of the generator's last phase.
        memorization: shares in [0, 1] by name: "copy-rate" (the estimate in excess of chance);
            "named", of the synthetic images those that are named as copies, sure or suspect, and
            where the exposure was tested "named-patients", of the training patients; and of every
            protocol each share as "PROTOCOL:KEY". The name of a protocol stands for its first
            measure ("dar": n_mem / N), and a key for the first protocol that has it: "copies"
            (synthetic images with p <= alpha), "exposed" (training images with p <= alpha) where
            the exposure was tested.
        quality: the measures of quality and diversity, by name.
        cost: those of them of which is known which way is better, so turned that smaller is better.
    """

    step: int
    memorization: Mapping[str, float]
    quality: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)


class CopyDetector(Protocol):
    """The run's copy detector, which was trained on the training images alone."""

    @property
    def similarity(self) -> Similarity:
        """Likeness of two of its rows; for `memtk.memorization.search`."""
        ...

    def embed(self, images: Images) -> Any:
        """Return one row an image: embeddings (N, D).

        Where the run compares the images themselves, these (N, C*S), read slice by slice.
        """
        ...


_STAGE_OF = {
    "adjust": Stage.ADJUST,
    "choose": Stage.CHOOSE,
    "thin": Stage.THIN,
    "teach": Stage.TEACH,
    "augment": Stage.TRAIN,
    "private": Stage.TRAIN,
    "release": Stage.SAMPLE,
    "stop": Stage.STOP,
    "screen": Stage.SCREEN,
}
"""The stage of a cell in which each method of a mitigation is asked."""


class Mitigation:
    """Changes the settings, the training set, the images at each step, or what is released.

    A subclass overrides what it needs; each method here changes nothing. `stages` says in which
    stages of a bench cell it takes part; `memtk.bench.pipeline` has their order. Several
    mitigations combine: each method is asked of all of them, in the order they are named, each on
    what the one before has left; of `teach` and `screen` all see all images, and what any drops is
    dropped.

    `teach`, `stop` and `screen` choose by a score, and what was chosen by a score cannot be tested
    by that score again. So the core judges what comes of them by a second embedder, trained from
    other weights in another order, and after `stop` with fresh samples.

    Class attributes:
        needs_quality: whether `stop` weighs measures of quality, so that a bench without any is
            refused.
    """

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig
    needs_quality: ClassVar[bool] = False

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    @classmethod
    def stages(cls) -> frozenset[Stage]:
        """Return the stages of a bench cell in which it takes part: whose methods it overrides."""
        return frozenset(
            stage
            for name, stage in _STAGE_OF.items()
            if getattr(cls, name) is not getattr(Mitigation, name)
        )

    def check(self, quality: Sequence[str], exposure: str) -> None:
        """Refuse settings that the bench cannot serve, before anything is trained.

        Args:
            quality: the names of the measures of quality that the bench takes ("fid").
            exposure: of which checkpoints the exposure is tested: "last", "all" or "none".

        Raises:
            UserError: with the way out.
        """

    def adjust(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the generator's configuration (its `Config` as a nested dict), changed.

        Raises:
            UserError: if the generator has nothing that could be changed so.
        """
        return settings

    def choose(self, patients: Sequence[str], rng: np.random.Generator) -> np.ndarray:
        """Return the indices, ascending, of the training images to keep.

        Args:
            patients: the patient of each training image.
            rng: seeded by the run.
        """
        return np.arange(len(patients))

    def thin(
        self, training: PatientImages, validation: PatientImages, detector: CopyDetector
    ) -> Choice:
        """Choose the training images to keep by how they look; after `choose`.

        Args:
            training: (N, C, *S), what `choose` left.
            validation: images of patients whom the generator does not see: what strangers look
                like.
            detector: the run's copy detector, as it sees images.
        """
        return Choice(np.arange(len(training)))

    def augment(self, x: Tensor, noise: Noise) -> Tensor:
        """Return training images (B, C, *S), changed; row i by stream i of `noise`."""
        return x

    def private(self) -> Private | None:
        """Return how the generator is trained with differential privacy; None: without."""
        return None

    def teach(self, synthetic: Images, found: Mapping[str, np.ndarray]) -> Choice:
        """Choose the synthetic images that a fresh generator learns from.

        Where a mitigation overrides this, a first generator is trained on the training images (with
        all other mitigations), and the one that is judged is trained on what the first has made.

        Args:
            synthetic: M images of the first generator, after its last checkpoint.
            found: what is in them, as in `screen`.
        """
        return Choice(np.arange(len(synthetic)))

    def stop(self, checkpoints: Sequence[CheckpointScores]) -> Choice:
        """Choose the one checkpoint that is taken: an index into `checkpoints`."""
        return Choice(np.array([len(checkpoints) - 1]))

    def release(self, synthetic: Images) -> np.ndarray:
        """Return the indices of the synthetic images (M) that may go out, whatever was found.

        Asked at every checkpoint before anything is judged; what is dropped is never looked at.
        """
        return np.arange(len(synthetic))

    def screen(self, synthetic: Images, found: Mapping[str, np.ndarray]) -> Choice:
        """Choose the synthetic images that may go out by what was found in them.

        Asked once, of the checkpoint that is taken.

        Args:
            synthetic: M images.
            found: arrays of `memtk.evaluation.Evaluation` by the run's copy detector, and
                "synthetic_identical", bool (M,): whose voxels are those of a training image.
                `memtk.memorization.withhold` reads them.
        """
        return Choice(np.arange(len(synthetic)))
