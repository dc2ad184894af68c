"""How well planted copies were found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from memtk.results.store import Fraction, StoredRecord

CLOSE = 1e-6
"""By how much a number of a file may differ from the one that is computed again: the last digits of
other processors and versions. All results of benchmarks/results agree within 1e-9."""


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
        named: so far beyond the strangers that it alone would be sure among the synthetic images;
            None in files of older versions.
        min_p: nearer to a training image than every validation image, the smallest p-value: what
            can be flagged by name even where copies are few.
        exposure: the training image's own p <= alpha by its copy, as if that were the synthetic
            image nearest to it; None where the exposure was not tested.
        right_image: of those with p <= alpha, nearest to the training image that was planted.
        right_patient: likewise, nearest to an image of the patient whose image was planted.
    """

    dar: Rate
    conformal: Rate
    named: Rate | None = None
    min_p: Rate
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


class Specificity(StoredRecord):
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
    specificity: Specificity
    plants: list[Planted] = []

    def problems(self, sizes: Mapping[str, int]) -> Iterator[str]:
        """Say which rates do not follow from their counts, and which counts from another.

        Args:
            sizes: images by split.
        """
        from memtk.intervals import clopper_pearson  # scipy, which records do without

        if (strangers := self.specificity.dar.n) > sizes.get(self.specificity_from, 0):
            yield f"specificity: {strangers} strangers, and fewer {self.specificity_from} images"
        if any(rate.n != strangers for _, rate in self.specificity if rate is not None):
            yield "specificity: its rules count out of several numbers of strangers"
        sets = [("sensitivity", self.sensitivity)]
        sets += [(f"{p.kind} {p.strength:g}{p.unit}", p.found) for p in self.plants]
        rates: list[tuple[str, Rate]] = []
        for where, found in sets:
            own = {k: rate for k, rate in found if rate is not None}
            right = {k: own.pop(k) for k in ("right_image", "right_patient")}
            if len({rate.n for rate in own.values()}) > 1:
                yield f"{where}: its rules count out of several numbers of copies"
            if any(rate.n != found.conformal.count for rate in right.values()):
                yield f"{where}: right ones are of others than were found"
            rates += [(f"{where}, {k}", rate) for k, rate in (own | right).items()]
        rates += [(f"specificity, {k}", rate) for k, rate in self.specificity if rate is not None]
        for where, rate in rates:
            ends = 0.0, 0.0, 1.0
            if rate.n:
                found_ends = clopper_pearson(rate.count, rate.n, self.confidence)
                ends = found_ends.estimate, found_ends.low, found_ends.high
            said = rate.rate, rate.low, rate.high
            if any(abs(one - other) > CLOSE for one, other in zip(said, ends, strict=True)):
                yield f"{where}: not the rate and the interval of {rate.count} of {rate.n}"
