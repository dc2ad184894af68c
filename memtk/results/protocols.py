"""What was found: the numbers of every protocol, of the self-test and of membership attacks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from memtk.results.store import Fraction, StoredRecord


class Dar(StoredRecord):
    """The reference rule of Dar et al. (arXiv 2402.01054).

    Args:
        tau: threshold on the similarity.
        n_mem: training images called memorized, of N.
        n_copies: synthetic images called copies, of M.
        mem_fraction: n_mem / N.
        copy_fraction: n_copies / M.
        expected_mem_fraction: `mem_fraction` of a generator that has memorized nothing, its null.
        validation_called_copies: validation images that the same rule calls copies, of V.
    """

    tau: float
    n_mem: int = Field(ge=0)
    n_copies: int = Field(ge=0)
    mem_fraction: Fraction
    copy_fraction: Fraction
    expected_mem_fraction: Fraction
    validation_called_copies: int = Field(ge=0)


class DarMatched(StoredRecord):
    """The same at equal sizes: the expectation over subsets of V synthetic images; null 5 %.

    Args:
        n_mem: expected number of memorized training images; None where it cannot be had.
        mem_fraction: n_mem / N.
        reason: why it cannot be had; empty if it can.
    """

    n_mem: float | None = Field(None, ge=0)
    mem_fraction: Fraction | None = None
    reason: str = ""


class RateInterval(StoredRecord):
    """A rate with its confidence interval, all in [0, 1].

    Args:
        estimate: the rate.
        low: lower end of the interval, and `high` the upper one.
    """

    estimate: Fraction
    low: Fraction
    high: Fraction


class Conformal(StoredRecord):
    """The verdict's own test: is an image nearer than a stranger's would be?

    What has the default None was not computed: by an older memtk, or because the numbers it needs
    are not there.

    Args:
        alpha: level of a single test.
        fdr: false discovery rate of what is flagged (Benjamini-Hochberg).
        copies_flagged_fraction: share of the synthetic images with p <= alpha.
        copies_expected_fraction: that share if nothing was memorized.
        n_copies: synthetic images flagged, of M.
        exposed_flagged_fraction: share of the training images with p <= alpha; None where the
            exposure was not tested.
        exposed_expected_fraction: that share if nothing was memorized.
        n_mem: training images flagged, of N.
        patients_exposed: training patients flagged by a test of their own, at the false discovery
            rate; in files of memtk 0.1, patients with a flagged image.
        patients_with_flagged_images: training patients with at least one flagged image.
        patients_fewest: the fewest training patients that can be flagged at these sizes: fewer,
            however exposed, go unflagged.
        patients_can_reject: whether any training patient could have been flagged.
        finest_p: smallest p-value that the validation patients allow, 1 / (patients + 1).
        can_reject: whether any synthetic image could have been flagged at these sizes.
        confidence: of the interval and the bound below.
        copy_rate: share of the synthetic images that are copies, in excess of the null and
            corrected by the sensitivity that the self-test measured.
        copy_rate_upper_bound: the largest copy rate that the numbers allow, one-sided.
        minimum_detectable_copy_rate: the smallest copy rate at which at least one synthetic image
            would be flagged with a power of 80 %; None also where no rate would do.
        notes: sentences that bound what the numbers show.
    """

    alpha: float = Field(gt=0, lt=1)
    fdr: float = Field(gt=0, lt=1)
    copies_flagged_fraction: Fraction
    copies_expected_fraction: Fraction
    n_copies: int = Field(ge=0)
    exposed_flagged_fraction: Fraction | None = None
    exposed_expected_fraction: Fraction | None = None
    n_mem: int | None = Field(None, ge=0)
    patients_exposed: int | None = Field(None, ge=0)
    patients_with_flagged_images: int | None = Field(None, ge=0)
    patients_fewest: int | None = Field(None, ge=1)
    patients_can_reject: bool | None = None
    finest_p: float = Field(gt=0, le=1)
    can_reject: bool
    confidence: float | None = Field(None, gt=0, lt=1)
    copy_rate: RateInterval | None = None
    copy_rate_upper_bound: Fraction | None = None
    minimum_detectable_copy_rate: Fraction | None = None
    notes: list[str] = []


class Protocols(StoredRecord):
    """All protocols. Numbers of different protocols are never compared with each other."""

    dar: Dar
    dar_matched: DarMatched
    conformal: Conformal


class Rate(StoredRecord):
    """A count out of n with its Clopper-Pearson interval.

    Args:
        count: what was counted.
        n: out of how many; 0 where there was nothing to count from.
        rate: count / n; 0 where n is 0.
        low: lower end of the interval, and `high` the upper one; 0 and 1 where n is 0.
    """

    count: int = Field(ge=0)
    n: int = Field(ge=0)
    rate: Fraction
    low: Fraction
    high: Fraction

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.count > self.n or not self.low <= self.rate <= self.high:
            raise ValueError("a count is at most n, and a rate lies within its interval")
        return self


class Found(StoredRecord):
    """How many of some planted copies were found, by rule.

    Args:
        dar: similarity above the threshold of the reference rule.
        conformal: p <= alpha.
        finest: nearer to a training image than every validation image, the finest p-value: what
            can be flagged by name even where copies are few.
        exposure: the training image's own p <= alpha once its copy is among the synthetic images;
            None where the exposure was not tested.
        right_image: of those with p <= alpha, nearest to the training image that was planted.
        right_patient: likewise, nearest to an image of the patient whose image was planted.
    """

    dar: Rate
    conformal: Rate
    finest: Rate
    exposure: Rate | None = None
    right_image: Rate
    right_patient: Rate


class Planted(StoredRecord):
    """What was found of the copies of one kind and strength.

    Args:
        kind: how the training images were changed ("rotation"); "exact" leaves them as they are.
        strength: how much, in `unit`.
        unit: "degrees" and so on; empty where the kind has no strength.
        nominal: whether the strength lies within what the mixed copies use.
        found: how many were found.
    """

    kind: str
    strength: float
    unit: str = ""
    nominal: bool
    found: Found


class Spared(StoredRecord):
    """How many images of patients nobody trained on were rightly not flagged.

    Args:
        dar: by the reference rule.
        conformal: p > alpha.
        exposure: likewise on the side of the training images; None where it was not tested.
    """

    dar: Rate
    conformal: Rate
    exposure: Rate | None = None


class SelfTest(StoredRecord):
    """How well the audit finds copies on these very images. No label is needed.

    Args:
        confidence: of all intervals.
        specificity_from: the images that must not be flagged: "held_out" patients, or each
            "validation" patient against the others.
        sensitivity: of copies changed in one to several ways at up to nominal strength.
        specificity: of images that are no copies.
        plants: by kind and strength.
    """

    confidence: float = Field(gt=0, lt=1)
    specificity_from: Literal["held_out", "validation"]
    sensitivity: Found
    specificity: Spared
    plants: list[Planted] = []


class FewAlarms(StoredRecord):
    """The true positive rate at a low false positive rate; by chance it is that rate.

    Args:
        asked: the false positive rate that was asked for.
        fpr: the one it was measured at: `asked`, or the smallest that the non-member patients can
            carry.
        reached: share of the non-members above the threshold, at most `fpr`.
        rate: share of the members above it.
        reason: why `asked` could not be had; empty if it could.
    """

    asked: Fraction
    fpr: Fraction
    reached: Fraction
    rate: RateInterval
    reason: str = ""


class Membership(StoredRecord):
    """What one attack made of the last checkpoint. Patients are the unit: each counts once.

    Args:
        member_images: training images that were attacked, of so many `member_patients`.
        non_member_images: validation images, of so many `non_member_patients`, all of them others.
        confidence: of the intervals.
        auc: the chance that a member scores higher than a non-member; 0.5 by chance. None where it
            was not measured.
        few_alarms: likewise.
        how: what was compared, in a sentence.
        reason: why nothing was measured; empty if something was.
    """

    member_images: int = Field(ge=0)
    member_patients: int = Field(ge=0)
    non_member_images: int = Field(ge=0)
    non_member_patients: int = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    auc: RateInterval | None = None
    few_alarms: FewAlarms | None = None
    how: str = ""
    reason: str = ""
