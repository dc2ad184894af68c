"""The privacy that a training claims, what attacks made of it, and whether both can be true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from memtk.results.protocols import RateInterval
from memtk.results.store import Fraction, StoredRecord


class PrivatePhase(StoredRecord):
    """One phase that saw the training images.

    Args:
        name: of the phase.
        steps: noisy steps of its only turn.
        sample_rate: the chance of each unit to be in a step.
    """

    name: str
    steps: int = Field(ge=0)
    sample_rate: float = Field(gt=0, le=1)


class Privacy(StoredRecord):
    """The guarantee that a generator was trained under: (epsilon, delta), over all its phases.

    Adding or removing one unit changes the probability of any outcome of the training by at most
    a factor exp(epsilon), but for a probability delta. It covers the weights and whatever is
    sampled from them; not the embedder, the losses or this report, which saw the images plainly.

    Args:
        epsilon: by the accountant, for what was done.
        delta: at which it was computed.
        unit: "patient" (all images of one) or "image".
        units: how many there are.
        most_images: the most images of one patient.
        noise_multiplier: spread of the noise of a step, in units of `max_grad_norm`.
        max_grad_norm: largest norm of one unit's gradient.
        steps: noisy steps in all.
        phases: that saw the training images, in order.
        accountant: "rdp" or "prv".
        opacus_version: that counted.
        secret: False if the noise follows from the run's seed: epsilon then holds only against
            those who do not know it.
        notes: sentences that bound what the epsilon says.
    """

    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    unit: Literal["patient", "image"]
    units: int = Field(ge=1)
    most_images: int = Field(ge=1)
    noise_multiplier: float = Field(gt=0)
    max_grad_norm: float = Field(gt=0)
    steps: int = Field(ge=0)
    phases: list[PrivatePhase]
    accountant: Literal["rdp", "prv"]
    opacus_version: str
    secret: bool
    notes: list[str] = []

    @property
    def by_patient(self) -> bool:
        """Whether epsilon is a patient's, so that a bound by canaries can contradict it."""
        return self.unit == "patient" or self.most_images == 1


class TprAtFpr(StoredRecord):
    """The true positive rate at a low false positive rate.

    Args:
        requested: the false positive rate that was asked for.
        fpr: the one it was measured at: `requested`, or the smallest that the non-member
            patients can carry.
        reached: share of the non-members above the threshold, at most `fpr`.
        rate: share of the members above it.
        reason: why `requested` could not be had; empty if it could.
        chance: what `rate` is where the generator tells nothing, (k + 1) / (Q + 1) for k of Q
            non-member patients above the threshold, with the interval of Beta(k + 1, Q - k). None
            in older files.
        p: the probability of so high a rate then. None in older files.
    """

    requested: Fraction
    fpr: Fraction
    reached: Fraction
    rate: RateInterval
    reason: str = ""
    chance: RateInterval | None = None
    p: Fraction | None = None


class Guesses(StoredRecord):
    """So many guesses at who of the canaries took part, half of them in and half out.

    Args:
        count: of the guesses, r: those of which the attack was surest.
        right: how many were.
    """

    count: int = Field(ge=2)
    right: int = Field(ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.right > self.count:
            raise ValueError(f"{self.right} of {self.count} guesses right")
        return self


class EpsilonBound(StoredRecord):
    """A lower bound on the epsilon of this very training, from one attack on its canaries.

    It holds for this run and this attack. A low bound proves nothing: another attack may find more.

    Args:
        low: epsilon is at least this, at `confidence`; 0 if the guesses were no better than chance.
        largest: what `low` would be if every guess had been right.
        delta: at which: the accountant's, or 0 where the training claims no privacy.
        confidence: one-sided, over all numbers of guesses together.
        patients: canaries that were guessed at, and `took_part` how many of them were trained on.
        tried: the numbers of guesses, which were fixed beforehand.
    """

    low: float = Field(ge=0)
    largest: float = Field(ge=0)
    delta: float = Field(ge=0, lt=1)
    confidence: float = Field(gt=0, lt=1)
    patients: int = Field(ge=2)
    took_part: int = Field(ge=0)
    tried: list[Guesses]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        most = max((each.count for each in self.tried), default=0)
        if max(most, self.took_part) > self.patients or self.low > self.largest + 1e-6:
            raise ValueError("more than its canaries, or their guesses, could show")
        return self


class Membership(StoredRecord):
    """What one attack made of the last checkpoint. Patients are the unit: each counts once.

    Args:
        member_images: training images that were attacked, of so many `member_patients`.
        non_member_images: validation images, of so many `non_member_patients`, all of them others.
        confidence: of the intervals.
        auc: the chance that a member scores higher than a non-member; 0.5 by chance. None where it
            was not measured.
        tpr_at_fpr: likewise.
        epsilon: None without canaries.
        how: what was compared, in a sentence.
        reason: why nothing was measured; empty if something was.
    """

    member_images: int = Field(ge=0)
    member_patients: int = Field(ge=0)
    non_member_images: int = Field(ge=0)
    non_member_patients: int = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    auc: RateInterval | None = None
    tpr_at_fpr: TprAtFpr | None = None
    epsilon: EpsilonBound | None = None
    how: str = ""
    reason: str = ""

    @property
    def chance(self) -> float | None:
        """The rate of `tpr_at_fpr` where the generator tells nothing: (k + 1) / (Q + 1)."""
        few, patients = self.tpr_at_fpr, self.non_member_patients
        if few is None:
            return None
        if few.chance is not None:
            return few.chance.estimate
        return (few.reached * patients + 1) / (patients + 1)


class Canaries(StoredRecord):
    """Training patients of whom a fair coin each decided whether the generator learns from them.

    Who was held back is neither a training nor a validation image: no network learns from it, and
    nothing is compared with it but the attacks' scores.

    Args:
        patients: whose coin was tossed, and who were left by what mitigations choose by patients.
        took_part: how many of them are training patients.
        held_back_images: of all that are not.
    """

    patients: int = Field(ge=0)
    took_part: int = Field(ge=0)
    held_back_images: int = Field(ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.took_part > self.patients:
            raise ValueError(f"{self.took_part} of {self.patients} canaries took part")
        return self

    @property
    def held_back(self) -> int:
        """How many patients were held back."""
        return self.patients - self.took_part


def contradiction(attacks: Mapping[str, Membership], privacy: Privacy | None) -> str:
    """Return why what attacks found cannot be true together with the accountant's epsilon.

    Empty where both can, and where the accountant's is not a patient's.
    """
    if privacy is None or not privacy.by_patient:
        return ""
    bounds = {name: m.epsilon for name, m in attacks.items() if m.epsilon is not None}
    above = {name: found for name, found in bounds.items() if found.low > privacy.epsilon}
    if not above:
        return ""
    said = " and ".join(f"{name} shows at least {found.low:.2f}" for name, found in above.items())
    chance = len(bounds) * (1 - next(iter(above.values())).confidence)
    return (
        f"The accountant counted epsilon {privacy.epsilon:.3g}, and {said}: the training or its "
        "accounting has a bug, and the guarantee does not hold. Without one, this would be said in "
        f"at most {100 * min(chance, 1):.0f} of 100 runs."
    )
