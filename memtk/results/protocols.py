"""What was found: tables of protocols, and what the verdict rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from memtk.results.store import Fraction, StoredRecord


class MeasureRecord(StoredRecord):
    """One number of a protocol; see `memtk.interfaces.Measure`, field by field.

    Args:
        value: a share in [0, 1] where `of` is given, else a number; None where it cannot be had.
        title: what it is, in a few words.
        side: whose images or patients it counts; empty for what counts none.
        count: how many: a whole number, or an expectation.
        of: how many there are.
        null: `value` of a generator that has memorized nothing; None where it is not known.
        interval: of `value`, low and high; None where the protocol gives none.
        better: which values are good; empty where none are.
        note: what a reader must know of this number; of one without a value: why.
    """

    value: float | None
    title: str
    side: Literal["training", "synthetic", "validation", ""]
    count: int | float | None = Field(default=None, ge=0)
    of: int | None = Field(default=None, ge=0)
    null: float | None = None
    interval: tuple[float, float] | None = None
    better: Literal["lower", "higher", ""] = "lower"
    note: str = ""

    @model_validator(mode="after")
    def _share(self) -> Self:
        if self.of is not None and self.value is not None and not 0 <= self.value <= 1:
            raise ValueError(f"{self.title} is {self.value:g}: a share lies between 0 and 1")
        return self


Table = dict[str, MeasureRecord]
"""The measures of one protocol, by key."""

Tables = dict[str, Table]
"""Those of all protocols, by name. Numbers of different protocols are never compared."""


class RateInterval(StoredRecord):
    """A rate with its confidence interval, all in [0, 1].

    Args:
        estimate: the rate.
        low: lower end of the interval, and `high` the upper one.
    """

    estimate: Fraction
    low: Fraction
    high: Fraction


class Named(StoredRecord):
    """How many units are named, by how far beyond the strangers they lie; see `tail_test`.

    Args:
        of: units tested: synthetic images, training images or training patients.
        sure: named so that with 95% confidence none of them is a stranger (Holm, 5%).
        suspect: named at the false discovery rate.
        at_least: at least so many are no strangers, named or not, without a model.
        model: of the strangers' tail that the p-values are by; "ranks" where no model holds.
        check: p-value of the check of that model.
        reason: why ranks were used.
        may_miss: so many may be given back verbatim, and no others be near, without one of them
            being suspect; None in files of older versions.
        never: so many could not be suspect even if all were given back verbatim: those with many
            images, whose p-values are as many times as large; likewise.
        margin_model: likewise of the margins, by which who is sure stands out from the second
            nearest patient; None where these were not looked at, or by an older memtk.
        margin_check: p-value of its check.
    """

    of: int = Field(ge=0)
    sure: int = Field(ge=0)
    suspect: int = Field(ge=0)
    at_least: int = Field(ge=0)
    model: Literal["gumbel", "pareto", "ranks"]
    check: Fraction | None = None
    reason: str = ""
    may_miss: int | None = Field(default=None, ge=0)
    never: int | None = Field(default=None, ge=0)
    margin_model: Literal["gumbel", "pareto", "ranks"] | None = None
    margin_check: Fraction | None = None

    @property
    def found(self) -> str:
        """How many are named, and how many of them for sure, in a few words."""
        return f"{max(self.sure, self.suspect)} of {self.of}, {self.sure} for sure"

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if max(self.sure, self.suspect, self.at_least) > self.of:
            raise ValueError(f"more than the {self.of} units are named")
        return self


class Exposed(StoredRecord):
    """Between `low` and `high` of `of` training patients are exposed.

    `high` takes it that they are as recognisable as those of whom copies were planted: its
    `sensitivity` is the share of these above its threshold, `false_positive_rate` the expected
    share of strangers. None in files of older versions, and where `high` rests on no threshold.
    """

    low: int = Field(ge=0)
    high: int = Field(ge=0)
    of: int = Field(ge=0)
    false_positive_rate: Fraction | None = None
    sensitivity: Fraction | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.high <= self.of:
            raise ValueError(f"{self.low} to {self.high} of {self.of} is no range")
        return self

    @property
    def ends(self) -> str:
        """Both ends in a few words: "2 to 9", or "64" where they are one."""
        return f"{self.low} to {self.high}" if self.low < self.high else str(self.low)

    @property
    def between(self) -> str:
        """The same in a sentence: "between 2 and 9"."""
        return f"between {self.low} and {self.high}" if self.low < self.high else str(self.low)


class GroupTest(StoredRecord):
    """Whether two groups are drawn alike.

    Args:
        p: small where they are not.
        size: how far they are apart, in [0, 1]; 0: not at all.
        nearer: of synthetic images that are no copies, whether they are nearer to the training
            images than strangers; None of other groups.
    """

    p: Fraction
    size: Fraction
    nearer: bool | None = None


UNLIKE = 0.2
"""How far images themselves may be from real ones, of the largest possible distance, before they
are unlike the data. Real against real patients score 0.00 to 0.03, trained diffusion models about
0.1; noise 0.25 to 0.56, and a GAN that was trained for 60 steps 0.52."""

FARTHER = 0.3
"""The same of their distance from the training images, where the images were not compared."""


class Comparable(StoredRecord):
    """Whether those that are compared are alike but for what was memorized.

    Args:
        population: training against validation patients; None where it was not tested.
        synthetic: synthetic images that are no copies against strangers.
        likeness: the synthetic images themselves against the validation images; None where there
            are no images, or an older memtk did not test it.
    """

    population: GroupTest | None = None
    synthetic: GroupTest | None = None
    likeness: GroupTest | None = None

    @property
    def unlike(self) -> GroupTest | None:
        """The test by which the synthetic images are unlike the data; None where they are not.

        What resembles nothing cannot be a copy. Beyond doubt (p <= 0.01), the images themselves
        are apart from real ones by at least `UNLIKE`; or those that are no copies are farther from
        the training images than strangers are, by at least `FARTHER`. The detector of copies may
        not see noise for what it is, so that its features, and a distance by them such as FID, are
        not asked.
        """
        for test, least in ((self.likeness, UNLIKE), (self.synthetic, FARTHER)):
            if test and not test.nearer and test.p <= 0.01 and test.size >= least:
                return test
        return None


class ThresholdRates(StoredRecord):
    """The threshold that the copy rate rests on, chosen by strangers and planted copies alone.

    Args:
        similarity: above which a synthetic image counts.
        flagged: synthetic images above it, and `flagged_high` the one-sided upper end of their
            share (Clopper and Pearson).
        false_positive_rate: expected share of strangers above it.
        sensitivity: share of the planted copies above it, or of what readers called copies.
        copies_read: pairs that readers called a copy, which `sensitivity` rests on; None: on
            planted copies.
    """

    similarity: float
    flagged: int = Field(ge=0)
    flagged_high: Fraction
    false_positive_rate: Fraction
    sensitivity: Fraction
    copies_read: int | None = Field(default=None, ge=1)


class Evidence(StoredRecord):
    """What the verdict rests on. memtk computes it itself: no protocol of a plugin enters it.

    What has the default None was not computed: by an older memtk, or because the numbers it needs
    are not there.

    Args:
        alpha: level of a single test.
        fdr: false discovery rate of what is flagged (Benjamini-Hochberg).
        confidence: of the interval and the bound below.
        tau: threshold of the reference rule (Dar et al., arXiv 2402.01054) on the similarity.
        reference_n_mem: training images that this rule counts as memorized, of N.
        reference_null: the share of a generator that has memorized nothing, by this rule.
        copies: the synthetic images that are named; None in files of older versions, whose counts
            below rest on ranks.
        training_images: the training images; None where the exposure was not tested.
        patients: the training patients; likewise.
        exposed: between how many and how many training patients are exposed, by all that is known.
        comparable: whether those that are compared are alike but for what was memorized.
        threshold: that the copy rate rests on.
        n_copies: synthetic images that are suspect, of M.
        n_mem: training images that are suspect, of N; None where the exposure was not tested.
        patients_exposed: training patients that are suspect.
        min_p: smallest p-value by rank that the validation patients allow, 1 / (patients + 1).
        can_reject: whether any synthetic image could have been named at these sizes.
        copy_rate: share of the synthetic images that are copies, in excess of the null and
            corrected by the sensitivity that the self-test measured.
        copy_rate_upper_bound: the largest copy rate that the numbers allow, one-sided.
        patients_with_flagged_images: of older versions: training patients with at least one flagged
            image.
        min_detectable_patients: likewise: the fewest training patients that could be flagged.
        patients_can_reject: likewise: whether any training patient could.
        min_detectable_copy_rate: likewise: the smallest copy rate at which at least one synthetic
            image would be flagged with a power of 80%.
        notes: sentences that bound what the numbers show.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    alpha: float = Field(ge=1e-9, lt=1)
    fdr: float = Field(ge=1e-9, lt=1)
    confidence: float | None = Field(None, gt=0, lt=1)
    tau: float
    reference_n_mem: int = Field(ge=0)
    reference_null: Fraction
    copies: Named | None = None
    training_images: Named | None = None
    patients: Named | None = None
    exposed: Exposed | None = None
    comparable: Comparable | None = None
    threshold: ThresholdRates | None = None
    n_copies: int = Field(ge=0)
    n_mem: int | None = Field(None, ge=0)
    patients_exposed: int | None = Field(None, ge=0)
    patients_with_flagged_images: int | None = Field(None, ge=0)
    min_detectable_patients: int | None = Field(None, ge=1)
    patients_can_reject: bool | None = None
    min_p: float = Field(gt=0, le=1)
    can_reject: bool
    copy_rate: RateInterval | None = None
    copy_rate_upper_bound: Fraction | None = None
    min_detectable_copy_rate: Fraction | None = None
    notes: list[str] = []

    def beyond(self, training: int, patients: int, synthetic: int) -> Iterator[str]:
        """Say which of what is counted is more than there is.

        Args:
            training: images, N; `patients`: whose these are; `synthetic`: images, M.
        """
        for name, count, size in (
            ("reference n_mem", self.reference_n_mem, training),
            ("n_copies", self.n_copies, synthetic),
            ("n_mem", self.n_mem, training),
            ("exposed patients", self.patients_exposed, patients),
            ("patients with flagged images", self.patients_with_flagged_images, patients),
        ):
            if count is not None and count > size:
                yield f"{name} is {count} of {size}"

    @property
    def by_readers(self) -> bool:
        """Whether the copy rate is corrected by a sensitivity that readers measured."""
        return self.threshold is not None and self.threshold.copies_read is not None

    def readers_note(self, form: str) -> str:
        """Return what stands beside a copy rate by readers, in a form such as "; {}"; else ""."""
        return form.format("sensitivity by readers") if self.by_readers else ""


class QualityInterval(StoredRecord):
    """A measure of quality with a confidence interval over the synthetic images.

    Args:
        estimate: of all synthetic images of the group.
        low: lower end of the interval, and `high` the upper one (see
            `memtk.evaluation.by_condition`).
    """

    estimate: float
    low: float
    high: float


class ByCondition(StoredRecord):
    """What was found in one group of images that a conditional generator was told apart.

    Args:
        column: of the manifest.
        value: of the group: a word, or a range of numbers.
        n_synthetic: synthetic images that were to be of it.
        training_images: of the group, and `training_patients` whose these are.
        validation_patients: with images of the group.
        within: whether the strangers are validation images of the group; False where there were too
            few patients: then all of them are.
        copies: synthetic images of the group that are named; None without any.
        copy_rate: share of these that are copies of any training image.
        exposed: training patients whose images of the group are exposed; None where not tested.
        quality: of the group's synthetic against its validation images, by measure; empty where
            either are fewer than 20.
    """

    column: str
    value: str
    n_synthetic: int = Field(ge=0)
    training_images: int = Field(ge=0)
    training_patients: int = Field(ge=0)
    validation_patients: int = Field(ge=0)
    within: bool
    copies: Named | None = None
    copy_rate: RateInterval | None = None
    exposed: Exposed | None = None
    quality: dict[str, QualityInterval] = {}
