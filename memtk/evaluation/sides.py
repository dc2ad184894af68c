"""The similarities of a set, and tests of its images or patients against strangers; in strata."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from memtk.errors import UserError, many
from memtk.interfaces import Levels
from memtk.memorization import (
    EXPOSED_IDENTICAL,
    IDENTICAL,
    AtLeast,
    Exchangeability,
    MarginTest,
    PatientGroup,
    ReadPairs,
    TailTest,
    at_least,
    holm,
    margin_test,
    tail_test,
    undetectable,
)
from memtk.memorization.patients import owners
from memtk.memorization.tail import Model, either
from memtk.results import Named

SURE = 0.05
"""Level of the names that are sure (Holm)."""

FEWEST = 10
"""Validation images of a stratum with which its similarities are brought to a common scale."""


ALL_FOUND = np.full(10_000, np.inf)
"""Similarity of planted copies where none were made: every copy is taken as found."""


@dataclass(frozen=True)
class Side:
    """The tests of one kind of unit: synthetic images, training images or training patients.

    Args:
        test: p-values and names, by the tail of the strangers.
        least: how many are no strangers, at least, of all and of the most alike.
        doubted: the share that a count called so which is doubted; 0: none is.
    """

    test: TailTest
    least: AtLeast
    doubted: float = 0.0

    @property
    def shown(self) -> float:
        """Which share of the units are no strangers, at least, by count or by name."""
        return max(self.least.count, int(self.test.sure.sum())) / len(self.test.p)

    def named(self, fdr: float) -> Named:
        """Return the counts for the record, of suspects at a false discovery rate."""
        test, missed = self.test, undetectable(self.test.min_p, fdr)
        return Named(
            of=len(test.p),
            sure=int(test.sure.sum()),
            suspect=int(test.suspect.sum()),
            at_least=self.least.count,
            model=test.model,
            check=test.check,
            reason=test.reason,
            may_miss=missed.most,
            never=missed.never,
            margin_model=test.margin.model if test.margin else None,
            margin_check=test.margin.check if test.margin else None,
        )

    def at_least(self) -> np.ndarray:
        """Return for each unit how many of it and the more alike ones are no strangers, (T,)."""
        found = np.empty(len(self.test.p), dtype=np.int64)
        found[self.least.order] = self.least.of_top
        return found

    def counted_by(self, patients: Side, owner: np.ndarray) -> Side:
        """Return training images with the counts of their patients.

        Images of one patient are not independent, and no count of theirs can be had by itself. Of
        the patients of the k most alike images at least as many are exposed as of the longest list
        of patients that lies among them, and each exposed one has an image among these.

        Args:
            owner: the patient of each image by its place in `patients`, (n,).
        """
        first = np.unique(owner[self.least.order], return_index=True)[1]  # of each patient, (T,)
        whole = np.maximum.accumulate(first[patients.least.order])  # from where on they all are in
        listed = np.searchsorted(whole, np.arange(len(owner)), side="right")  # (n,)
        of_top = np.r_[0, patients.least.of_top][listed]
        return replace(self, least=replace(self.least, count=patients.least.count, of_top=of_top))

    def judged_by(self, kept: np.ndarray | None = None) -> Side:
        """Return it with no count, and the names of `kept` (T,) alone: comparison shows little."""
        kept = np.zeros(len(self.test.p), dtype=bool) if kept is None else kept
        test = replace(self.test, sure=self.test.sure & kept, suspect=self.test.suspect & kept)
        least = replace(self.least, count=0, of_top=np.zeros_like(self.least.of_top))
        return Side(test, least)

    def at_most(self, count: int) -> Side:
        """Return it with no higher counts than `count`, but for those that are named for sure."""
        named = np.cumsum(self.test.sure[self.least.order])
        of_top = np.minimum(self.least.of_top, np.maximum(named, count))
        least = replace(self.least, count=int(of_top[-1]), of_top=of_top)
        return Side(self.test, least, doubted=self.shown)

    def with_known(self, known: np.ndarray | None) -> Side:
        """Return it with units that are copies, or exposed, for certain: `known`, bool (T,)."""
        if known is None or not known.any():
            return self
        test = replace(self.test, sure=self.test.sure | known, suspect=self.test.suspect | known)
        of_top = np.maximum(self.least.of_top, np.cumsum(known[self.least.order]))
        return Side(test, replace(self.least, count=int(of_top[-1]), of_top=of_top))


def side_of(
    tested: PatientGroup,
    strangers: PatientGroup,
    levels: Levels,
    seed: int = 0,
    strata: tuple[np.ndarray, np.ndarray] | None = None,
    margin: MarginTest | None = None,
) -> Side:
    """Test units against strangers, or those of each stratum against the strangers of the same.

    Within strata (Mondrian conformal prediction) a second site or scanner does no harm: images are
    compared with those of strangers from the same one. Names are given over all strata together,
    and counts add up, each stratum's at a confidence that makes all of them right at once. Units of
    a stratum without strangers have p = 1.

    Args:
        tested: the units: patients, or, without patients, images.
        strangers: the validation images and patients.
        levels: see `tests_of`.
        strata: the stratum of each tested image (n,) and of each validation image (V,). None: there
            is one.

    Raises:
        UserError: if a tested patient has images in several strata: which strangers it should be
            compared with is not said.
    """
    if strata is None:
        test = tail_test(tested, strangers, margin=margin, levels=(SURE, levels.fdr), seed=seed)
        return Side(test, at_least(tested, strangers, confidence=levels.confidence, seed=seed))
    first = np.unique(tested.owner, return_index=True)[1]
    mine = strata[0][first]  # of each unit, (T,)
    if several := len(np.unique(tested.owner[strata[0] != mine[tested.owner]])):
        raise UserError(
            f"{many(several, 'training patient', 'has/have')} images in several groups of the "
            "column that patients are compared within: take a column that has one value a patient"
        )
    names = np.unique(mine).tolist()
    confidence = 1 - (1 - levels.confidence) / len(names)
    p, least = np.ones(len(first)), np.zeros(len(first), dtype=np.int64)
    rank_p, min_p, place = (np.ones(len(first)) for _ in range(3))
    parts: list[TailTest] = []
    alone = 0
    for name in names:
        rows = np.isin(tested.owner, np.flatnonzero(mine == name))
        others = strata[1] == name
        if not others.any():
            alone += len(np.unique(tested.owner[rows]))
            continue
        group = PatientGroup(tested.similarity[rows], tested.owner[rows].tolist())
        unseen = PatientGroup(strangers.similarity[others], strangers.owner[others].tolist())
        test = tail_test(group, unseen, seed=seed)
        where = np.array(test.names)  # the units in the order of the test
        p[where], rank_p[where], min_p[where] = test.p, test.rank_p, test.min_p
        found = at_least(group, unseen, confidence=confidence, seed=seed)
        listed = where[found.order]
        least[listed] = np.diff(found.of_top, prepend=0)  # what each adds to its stratum's count
        place[listed] = np.maximum.accumulate(p[listed])  # the list of a stratum keeps its order
        parts.append(test)
    sure_p = p if margin is None else np.maximum(p, margin.p)
    order = np.lexsort((-tested.largest(), place))
    of_top = np.cumsum(least[order])
    models: tuple[Model, ...] = ("gumbel", "pareto", "ranks")
    model: Model = max((part.model for part in parts), key=models.index, default="ranks")
    checks = [part.check for part in parts if part.check is not None]
    reason = next((part.reason for part in parts if part.reason), "")
    if alone:
        model, reason = "ranks", f"{alone} of {len(p)} are of groups without validation images"
    return Side(
        TailTest(
            p=p,
            rank_p=rank_p,
            sure_p=sure_p,
            sure=holm(sure_p, SURE),
            suspect=either(p, rank_p, levels.fdr),
            names=tested.names,
            model=model,
            check=min(checks, default=None),
            reason=reason,
            strangers=len(strangers.sizes),
            min_p=min_p,
            margin=margin,
        ),
        AtLeast(int(of_top[-1]), of_top, order, levels.confidence),
    )


def margins_of(
    arrays: Mapping[str, np.ndarray],
    validation: Sequence[Hashable],
    tested: PatientGroup,
    seed: int,
    *,
    exposure: bool = False,
) -> MarginTest | None:
    """Return the p-value of the margin of each tested unit; see `margin_test`.

    Of a training image it is that of the synthetic image nearest to it, if that shows its patient.

    Args:
        arrays: of `neighbours`; None is returned where an older memtk did not look for margins.
        validation: the patient of each validation image.
        tested: the synthetic images; or the training images, alone or by patient.
        exposure: whether training images are tested.
    """
    name = "exposure_train_synthetic_second" if exposure else "synthetic_train_second"
    if name not in arrays:
        return None
    reference = margin_reference(arrays, validation, "exposure_" if exposure else "")
    return margin_test((tested, arrays[name]), reference, seed=seed)


def margin_reference(
    arrays: Mapping[str, np.ndarray], validation: Sequence[Hashable], prefix: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Return the similarities of strangers and training patients to two training patients.

    Args:
        arrays: with those of `memtk.evaluation.calibration.margin_arrays`.
        validation: the patient of each validation image; one image of each counts.
        prefix: "exposure_" for the other embedder.
    """
    whose = owners(validation, len(arrays["validation_train"]), "validation images")
    one = np.unique(whose, return_index=True)[1]
    near, second = (
        np.r_[arrays[f"{prefix}validation_train{end}"][one], arrays[f"{prefix}others{end}"]]
        for end in ("", "_second")
    )
    return near, second


def levelled(
    values: np.ndarray, mine: np.ndarray, strangers: np.ndarray, theirs: np.ndarray
) -> np.ndarray:
    """Return similarities by how far they lie from the strangers of the same stratum.

    The median of these is taken away, and the rest divided by their median absolute deviation, so
    that one threshold may serve all strata.

    Args:
        values: (n,), of the strata `mine` (n,).
        strangers: similarities of the validation images (V,), of the strata `theirs` (V,).

    >>> strangers, theirs = np.r_[np.arange(10.0), np.arange(10.0) + 100], np.repeat([0, 1], 10)
    >>> levelled(np.array([4.5, 104.5, 107.0]), np.array([0, 1, 1]), strangers, theirs).tolist()
    [0.0, 0.0, 1.0]
    """
    found = np.array(values, dtype=np.float64)
    for name in np.unique(mine).tolist():
        own = strangers[theirs == name]
        own = own if len(own) >= FEWEST else strangers
        middle = np.median(own)
        scale = max(float(np.median(np.abs(own - middle))), 1e-12)
        found[mine == name] = (found[mine == name] - middle) / scale
    return found


@dataclass(frozen=True)
class Groups:
    """The similarities of one synthetic set, with whose they are.

    Args:
        arrays: of `memtk.evaluation.neighbours`.
        training: the patient of each training image, (N,); if empty, each is another.
        validation: likewise, (V,).
        population: whether training and validation patients are one population; None: not tested.

    Attributes:
        strata: of the training images (N,) and of the validation images (V,), by "..._stratum" of
            the arrays; None where all are compared with all.
    """

    arrays: Mapping[str, np.ndarray]
    training: Sequence[Hashable] = ()
    validation: Sequence[Hashable] = ()
    population: Exchangeability | None = None

    @property
    def has_exposure(self) -> bool:
        """Whether there is a side of the training images."""
        return "exposure_train_synthetic" in self.arrays

    @property
    def people(self) -> PatientGroup:
        """The training patients with their similarities to the synthetic images."""
        seen = self.arrays["exposure_train_synthetic"]
        return PatientGroup(seen, self.training, "training images")

    def strangers(self, name: str) -> PatientGroup:
        """Return the validation images with the similarities `name`."""
        return PatientGroup(self.arrays[name], self.validation, "validation images")

    @property
    def strata(self) -> tuple[np.ndarray, np.ndarray] | None:
        """See above."""
        if "training_stratum" not in self.arrays:
            return None
        return self.arrays["training_stratum"], self.arrays["validation_stratum"]

    @property
    def copy_strata(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The stratum of the training image nearest to each synthetic and validation image."""
        if self.strata is None:
            return None
        near = (self.arrays[f"{name}_train_index"] for name in ("synthetic", "validation"))
        synthetic, validation = (self.strata[0][index] for index in near)
        return synthetic, validation

    @property
    def copies(self) -> tuple[np.ndarray, PatientGroup, PatientGroup]:
        """The synthetic images, strangers and planted copies, on a scale that strata share."""
        back, near = self.arrays["synthetic_train"], self.arrays["validation_train"]
        planted = self.arrays.get("planted", ALL_FOUND)
        if self.strata is not None and self.copy_strata is not None:
            mine, theirs = self.copy_strata
            if "planted" in self.arrays:
                made = self.strata[0][self.arrays["planted_source"]]
                planted = levelled(planted, made, near, theirs)
            back, near = levelled(back, mine, near, theirs), levelled(near, theirs, near, theirs)
        return back, PatientGroup(near, self.validation, "validation images"), PatientGroup(planted)

    @property
    def readers(self) -> ReadPairs | None:
        """The pairs over synthetic images that people have read; None without.

        "read_synthetic" of the arrays says which images, "read_copy" what they were called,
        "read_stratum" and "read_sizes" how they were drawn.
        """
        if "read_synthetic" not in self.arrays:
            return None
        near, _, _ = self.copies
        return ReadPairs(
            near[self.arrays["read_synthetic"]],
            self.arrays["read_copy"],
            self.arrays["read_stratum"],
            self.arrays["read_sizes"],
        )

    @property
    def exposure(self) -> tuple[PatientGroup, PatientGroup, PatientGroup]:
        """The training patients, strangers and planted exposures, on a scale that strata share."""
        seen, near = (self.arrays[f"exposure_{n}_synthetic"] for n in ("train", "validation"))
        planted = self.arrays["exposure_planted"]
        if self.strata is not None:
            mine, theirs = self.strata
            made = mine[self.arrays["planted_source"]]
            planted = levelled(planted, made, near, theirs)
            seen, near = levelled(seen, mine, near, theirs), levelled(near, theirs, near, theirs)
        return (
            PatientGroup(seen, self.training, "training images"),
            PatientGroup(near, self.validation, "validation images"),
            PatientGroup(planted),
        )


def identical_training(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which training images are a synthetic one, voxel for voxel, where that is known."""
    if IDENTICAL not in arrays or "exposure_train_synthetic" not in arrays:
        return {}
    found = np.zeros(len(arrays["exposure_train_synthetic"]), dtype=bool)
    found[arrays["synthetic_train_index"][arrays[IDENTICAL].astype(bool)]] = True
    return {EXPOSED_IDENTICAL: found}


def known_patients(groups: Groups) -> np.ndarray | None:
    """Return which training patients have an image that is a synthetic one, (T,); None: unknown."""
    same = groups.arrays.get(EXPOSED_IDENTICAL)
    if same is None:
        return None
    found: np.ndarray = PatientGroup(same, groups.training).largest() > 0
    return found
