"""The result of a membership attack."""

from __future__ import annotations

from pydantic import Field

from memtk.results.protocols import RateInterval
from memtk.results.record import Fraction, StoredRecord


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
