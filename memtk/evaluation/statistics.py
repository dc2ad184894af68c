"""From the nearest similarities of one synthetic set to what the verdict rests on, and notes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from memtk.errors import many
from memtk.evaluation.rates import DOUBT, count_of, rate_above, rates_of, threshold_of
from memtk.evaluation.sides import SURE, Groups, Side, known_patients, margins_of, side_of
from memtk.interfaces import Levels
from memtk.memorization import (
    EXPOSED_IDENTICAL,
    IDENTICAL,
    Dar,
    PatientGroup,
    benjamini_hochberg,
    bulk_test,
    dar,
    exposed_interval,
    holm,
    upper_end,
)
from memtk.results import Comparable, Evidence, Exposed, GroupTest
from memtk.results.case import ALIKE, BLUR

MORE_EXPOSED = (
    "By name or by count more training patients may be exposed than the sensitivity to planted "
    "copies allows: their copies would be harder to recognise, so no upper end is known."
)


def notes_on(
    copies: Side, patients: Side | None, groups: Groups, exposed: Exposed | None
) -> list[str]:
    """Return what a reader must know of the names, the sensitivity and the exposed patients.

    Args:
        copies: the tests of the synthetic images.
        patients: of the training patients; None: not tested.
        groups: what they are tests of.
        exposed: how many patients are; None: not tested.
    """
    notes = []
    if copies.test.model == "ranks":
        notes.append(
            f"Names rest on ranks alone: {copies.test.reason}. Few copies can be named then."
        )
    for side, noun in ((copies, "synthetic image"), (patients, "training patient")):
        notes += _margin_note(side, noun) if side else []
    readers = groups.readers
    if readers is not None:
        notes.append(
            "The copy rate is corrected by the sensitivity that readers measured: to the "
            f"{many(int(readers.copy.sum()), 'pair')} of these very images that they called a copy."
        )
    elif "planted" not in groups.arrays:
        notes.append(
            "No copies were planted: the copy rate is not corrected for copies that go unnoticed."
        )
    apart = groups.population is not None and groups.population.p <= ALIKE
    if exposed and "exposure_planted" in groups.arrays and not apart:
        notes += [MORE_EXPOSED] if exposed.sensitivity is None else []
    return notes


def _margin_note(side: Side, noun: str) -> list[str]:
    """Say where no model of the margins holds, so that few or none can be sure."""
    margin, of = side.test.margin, len(side.test.p)
    if margin is None or margin.model != "ranks":
        return []
    few = "none" if of > SURE * (margin.strangers + 1) else "few"
    return [
        "How far strangers stand out from the second nearest patient does not look like one tail, "
        f"so their ranks are used: with {many(margin.strangers, 'stranger')}, {few} of "
        f"{many(of, noun)} can be named for sure, however alike."
    ]


@dataclass(frozen=True)
class Tests:
    """What is tested and flagged in one synthetic set.

    Args:
        exposure: the training images; None without an exposure side.
        patients: the training patients; None likewise.
        people: the patient of each training image, (N,).
        before: what would be named if all were comparable: "copies" (M,), "exposure" (N,) and
            "exposure_patient" (T,), bool.
        comparable: whether those compared are alike but for what was memorized.
    """

    dar: Dar
    copies: Side
    exposure: Side | None
    patients: Side | None
    people: Sequence[Hashable]
    before: Mapping[str, np.ndarray]
    comparable: Comparable

    @property
    def flags(self) -> dict[str, np.ndarray]:
        """What is flagged, by name.

        "memorized" (N,) and "copied" (M,) by the reference rule, bool. Of the copies, (M,):
        "copies_p", "copies_rank_p"; "copies_sure" and "copies_flagged" (sure or suspect), bool;
        "copies_near", what would be flagged if all were comparable; "copies_at_least", how many of
        it and the more alike ones are copies. With an exposure side the same of the training
        images, "exposure_...", (N,), and of the patient of each, "exposure_patient_...".
        """
        flags = {"memorized": self.dar.memorized, "copied": self.dar.copies}
        flags |= _flags("copies", self.copies) | {"copies_near": self.before["copies"]}
        if self.exposure is None or self.patients is None:
            return flags
        row = {name: i for i, name in enumerate(self.patients.test.names)}
        whose = np.array([row[name] for name in self.people])
        people = {k: v[whose] for k, v in _flags("exposure_patient", self.patients).items()}
        near = self.before["exposure"] | self.before["exposure_patient"][whose]
        return flags | _flags("exposure", self.exposure) | people | {"exposure_near": near}


def _flags(name: str, side: Side) -> dict[str, np.ndarray]:
    return {
        f"{name}_p": side.test.p,
        f"{name}_rank_p": side.test.rank_p,
        f"{name}_sure": side.test.sure,
        f"{name}_flagged": side.test.suspect | side.test.sure,
        f"{name}_at_least": side.at_least(),
    }


def tests_of(groups: Groups, levels: Levels, seed: int = 0) -> Tests:
    """Test one synthetic set by every rule.

    Names and counts are given where the comparison allows them. Where training and validation
    patients are no one population (p <= `ALIKE`) there are none. Where synthetic images that are no
    copies are nearer to the training images than strangers are (p <= `BLUR`), as blurred or bland
    ones are, only those are named whose training image is exposed too: both sides of that
    comparison are real. Copies are counted where some patient is exposed, or that was not tested;
    where other synthetic images are a little nearer than strangers (p <= `DOUBT`), which no count
    can tell from copies, no more than the threshold of the copy rate finds.
    An image that is a training image, voxel for voxel, is a copy whatever is comparable.

    Args:
        levels: `fdr` is that of the suspects; those that are sure have `SURE` (Holm).
    """
    arrays = groups.arrays
    made, back = arrays["train_synthetic"], arrays["synthetic_train"]
    tested = PatientGroup(back, name="synthetic images")
    margin = margins_of(arrays, groups.validation, tested, seed)
    strangers = groups.strangers("validation_train")
    copies = side_of(tested, strangers, levels, seed, groups.copy_strata, margin)
    exposure = patients = None
    if groups.has_exposure:
        images = PatientGroup(arrays["exposure_train_synthetic"], name="training images")
        exposure = exposure_side(images, groups, levels, seed)
        patients = exposure_side(groups.people, groups, levels, seed)
        exposure = exposure.counted_by(patients, groups.people.owner)
    found = {"copies": copies, "exposure": exposure, "exposure_patient": patients}
    if patients is not None and not patients.least.count and not patients.test.sure.any():
        copies = copies.judged_by(copies.test.suspect | copies.test.sure)
    near, others, _ = groups.copies
    bulk = bulk_test(PatientGroup(near), others, seed=seed)
    population = groups.population
    if population is not None and population.p <= ALIKE:
        copies = copies.judged_by()
        exposure = exposure and exposure.judged_by()
        patients = patients and patients.judged_by()
    elif bulk.p <= BLUR and bulk.nearer:
        shown = arrays.get("exposure_synthetic_train_index")  # the training image of each, (M,)
        copies = copies.judged_by(exposure.test.suspect[shown] if exposure else None)
    elif bulk.p <= DOUBT and bulk.nearer:
        chosen = threshold_of(groups, levels, seed)
        least = rate_above(chosen, groups, 2 * levels.confidence - 1, seed).low
        copies = copies.at_most(int(least * len(back) + 1e-9))
    copies = copies.with_known(arrays.get(IDENTICAL))
    if exposure is not None and patients is not None:
        exposure = exposure.with_known(arrays.get(EXPOSED_IDENTICAL))
        patients = patients.with_known(known_patients(groups))
    return Tests(
        dar=dar(arrays["train_validation"], made, back, arrays["validation_train"]),
        copies=copies,
        exposure=exposure,
        patients=patients,
        people=groups.training or range(len(made)),
        before={name: side.test.suspect | side.test.sure for name, side in found.items() if side},
        comparable=Comparable(
            population=GroupTest(**asdict(population)) if population else None,
            synthetic=GroupTest(**asdict(bulk)),
        ),
    )


def exposure_side(tested: PatientGroup, groups: Groups, levels: Levels, seed: int) -> Side:
    """Test training images, alone or by patient, where the exposure was tested."""
    margin = margins_of(groups.arrays, groups.validation, tested, seed, exposure=True)
    unseen = groups.strangers("exposure_validation_synthetic")
    return side_of(tested, unseen, levels, seed, groups.strata, margin)


def evidence_of(tests: Tests, groups: Groups, levels: Levels, seed: int = 0) -> Evidence:
    """Return what the verdict on one synthetic set rests on, by the tests of these groups."""
    copies, exposure, patients = tests.copies, tests.exposure, tests.patients
    strangers = groups.strangers("validation_train")
    people = exposure.test.sure.nonzero()[0].tolist() if exposure else []
    exposed = exposed_of(groups, levels, seed, patients, len({tests.people[row] for row in people}))
    rates = rates_of(copies, tests.comparable, groups, levels, seed, exposed)
    notes = [*notes_on(copies, patients, groups, exposed), *rates.pop("notes")]
    smallest = np.full(len(copies.test.p), 1 / (1 + copies.test.strangers))
    by_ranks = benjamini_hochberg(smallest, levels.fdr)  # few patients may forbid any name
    return Evidence(
        alpha=levels.alpha,
        fdr=levels.fdr,
        confidence=levels.confidence,
        tau=tests.dar.tau,
        reference_n_mem=tests.dar.n_mem,
        reference_null=tests.dar.expected_mem_fraction,
        copies=copies.named(levels.fdr),
        training_images=exposure.named(levels.fdr) if exposure else None,
        patients=patients.named(levels.fdr) if patients else None,
        exposed=exposed,
        comparable=tests.comparable,
        n_copies=int(copies.test.suspect.sum()),
        n_mem=int(exposure.test.suspect.sum()) if exposure else None,
        patients_exposed=int(patients.test.suspect.sum()) if patients else None,
        min_p=1 / (len(strangers.sizes) + 1),
        can_reject=copies.test.model != "ranks" or bool(by_ranks[0]),
        **rates,
        notes=notes,
    )


def exposed_of(
    groups: Groups, levels: Levels, seed: int, patients: Side | None = None, named: int = 0
) -> Exposed | None:
    """Return between how many and how many training patients are exposed.

    Each end errs with half of what is missing to the confidence; names (Holm) raise the lower one,
    with half of that again. Those of whom an image is a synthetic one are exposed, without error.
    Where more are exposed by name or by count than the upper end allows, at the level of those, it
    is all: see `upper_end`. Where nothing was planted it is all too and cannot err, and the count
    takes three quarters of what is missing.

    Args:
        patients: the test of the training patients; None: it is done here.
        named: patients of whom an image is named for sure.
    """
    if not groups.has_exposure:
        return None
    patients = patients or exposure_side(groups.people, groups, levels, seed)
    of = len(patients.test.p)
    whose = known_patients(groups)
    known = 0 if whose is None else int(whose.sum())
    population = groups.population
    if population is not None and population.p <= ALIKE:
        return Exposed(low=known, high=of, of=of)

    def least(error: float) -> int:
        strict = replace(levels, confidence=1 - error)
        unseen = groups.strangers("exposure_validation_synthetic")
        return count_of(groups.people, unseen, strict, seed, groups.strata)

    level = (1 - levels.confidence) / 4
    sure = max(known, int(holm(patients.test.sure_p, level).sum()))
    if "exposure_planted" not in groups.arrays:
        return Exposed(low=max(sure, least(3 * level)), high=of, of=of)
    found = exposed_interval(*groups.exposure, sure=sure, confidence=levels.confidence, seed=seed)
    low, counted = found.low, max(patients.least.count, int(patients.test.sure.sum()), named)
    if groups.strata is not None:
        low = max(sure, least(level))
    high = max(low, found.high)
    if counted > high:
        return Exposed(low=low, high=of, of=of)
    return Exposed(
        low=low,
        high=int(upper_end(high, max(counted, low), found.estimate, of)),
        of=of,
        false_positive_rate=found.false_positive_rate,
        sensitivity=found.sensitivity,
    )
