"""From numbers to verdicts: on a cell of a bench, and pass, fail or inconclusive of an audit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from memtk.results.audit import AuditVerdict, Policy
from memtk.results.formats import apart, interval, many, part, share
from memtk.results.protocols import Evidence, Rate, SelfTest
from memtk.results.sample_sizes import (
    patients_for_bound,
    patients_to_flag,
    patients_to_plan,
    plants_for_sensitivity,
)
from memtk.results.schema import Counts, Result

CHANCE = 0.001
"""The reference count is called more than chance below this binomial probability. Counts of
training images that share a synthetic set vary more than a binomial, so it is strict, and it
never decides alone: it can only turn "no evidence" into "signs"."""


@dataclass(frozen=True)
class Verdict:
    """What the numbers of the last checkpoint allow to say.

    Args:
        kind: "memorized", "signs" (something stands out, but it proves nothing), "inconclusive"
            (nothing could have been flagged) or "none" (nothing was flagged, but could have been).
        min_detectable: images that must stand out before any can be flagged: training images, or
            synthetic ones where the exposure was not tested. More than there are: none can be.
    """

    kind: Literal["memorized", "signs", "inconclusive", "none"]
    min_detectable: int

    @property
    def title(self) -> str:
        """The verdict in a few words."""
        return {
            "memorized": "Memorized",
            "signs": "Signs of memorization",
            "inconclusive": "Inconclusive",
            "none": "No evidence found",
        }[self.kind]


def verdict(result: Result) -> Verdict:
    """Return the verdict on a cell.

    - "memorized": the conformal test flags training images (exposure). Both sides of that
      comparison are real images, so neither blur nor blandness of the synthetic ones brings it
      about. If nothing was memorized, the chance of any flag is at most the false discovery rate.
      Where the exposure was not tested: it flags copies, and the reference count is more than
      chance as well.
    - "signs": copies are flagged or the reference count is more than chance, without the above.
      Synthetic images that all look alike do this too.
    - "inconclusive": with so few validation patients nothing could have been flagged.
    - "none" otherwise. It means that no evidence was found, never that there is none.
    """
    from scipy.special import bdtrc  # slow to import: what only reads results does without

    found, n = result.last.evidence, result.used_training.images
    tested = result.last.n_synthetic if found.n_mem is None else n
    detectable = max(1, math.ceil(tested * found.min_p / found.fdr * (1 - 1e-12)))
    excess = bdtrc(found.reference_n_mem - 1, n, found.reference_null) < CHANCE
    if found.n_mem or (found.n_mem is None and found.n_copies and excess):
        return Verdict("memorized", detectable)
    if found.n_copies or excess:
        return Verdict("signs", detectable)
    return Verdict("none" if found.can_reject else "inconclusive", detectable)


def decide(
    policy: Policy,
    evidence: Evidence,
    selftest: SelfTest | None,
    counts: Mapping[str, Counts],
    *,
    identical_images: int = 0,
) -> AuditVerdict:
    """Return what a policy says of the numbers. The rules are fixed before anything is computed.

    - **fail** if a synthetic image is identical to a training image; or the lower end of the copy
      rate's interval exceeds `max_copy_rate`; or the share of training patients that are flagged as
      exposed exceeds `max_exposed_patients`. An interval of less than the policy's `confidence`
      fails nothing.
    - **pass** only if all of this holds: the exposure was tested; the self-test was run, and the
      lower end of the interval of its sensitivity reaches `min_sensitivity`, for the copies and,
      where it was measured, for the training images that were copied; the upper bound of the copy
      rate is at most `max_copy_rate`; images and patients could have been flagged at all; the
      share of patients that may be exposed without any being flagged is at most
      `max_unseen_patients`, where that is asked; and nothing was computed at less than the
      policy's `confidence`.
    - **inconclusive** otherwise: each condition that does not hold is a reason, with what would
      change it.

    Args:
        policy: what is tolerable.
        evidence: what was found.
        selftest: how well copies are found; None if it was not run.
        counts: images and patients of "training", "validation" and "synthetic".
        identical_images: synthetic images whose voxels are those of a training image.
    """
    case = _Case(policy, evidence, selftest, counts, identical_images)
    failures = case.failures()
    if failures:
        return AuditVerdict(outcome="fail", reasons=failures)
    missing = case.missing()
    if missing:
        return AuditVerdict(outcome="inconclusive", reasons=missing)
    return AuditVerdict(outcome="pass", reasons=case.grounds())


def min_detectable_patients(found: Evidence, training: int) -> int:
    """Return the fewest training patients that can be flagged; more than there are: none can be.

    Args:
        found: whose own number is taken where it is there.
        training: patients.
    """
    if found.min_detectable_patients is not None:
        return found.min_detectable_patients
    return max(1, math.ceil(training * found.min_p / found.fdr * (1 - 1e-12)))


@dataclass(frozen=True)
class _Case:
    policy: Policy
    found: Evidence
    selftest: SelfTest | None
    counts: Mapping[str, Counts]
    identical: int

    @property
    def training(self) -> int:
        return self.counts["training"].patients

    @property
    def validation(self) -> int:
        return self.counts["validation"].patients

    @property
    def synthetic(self) -> int:
        return self.counts["synthetic"].images

    @property
    def sure(self) -> bool:
        """Whether the rates were computed at the policy's confidence or above."""
        used = [self.found.confidence, self.selftest.confidence if self.selftest else None]
        return all(c is None or c >= self.policy.confidence - 1e-9 for c in used)

    @property
    def confidence(self) -> float:
        return self.found.confidence or self.policy.confidence

    def failures(self) -> list[str]:
        reasons, limit = [], self.policy.max_copy_rate
        if self.identical:
            are = "is" if self.identical == 1 else "are"
            reasons.append(
                f"{many(self.identical, 'synthetic image')} {are} identical to a training image, "
                "voxel for voxel."
            )
        rate = self.found.copy_rate
        if rate and self.sure and rate.low > limit:
            reasons.append(
                f"The copy rate is at least {apart(rate.low, limit)} (estimate "
                f"{share(rate.estimate)}, {interval(rate.low, rate.high, self.confidence)}); "
                f"tolerable is {_at_most(limit)}."
            )
        exposed = self.found.patients_exposed
        if exposed and exposed / self.training > self.policy.max_exposed_patients:
            are = "is" if exposed == 1 else "are"
            reasons.append(
                f"{part(exposed, self.training, 'training patient')} {are} exposed: their images "
                "are nearer to the synthetic ones than those of strangers are; tolerable is "
                f"{_at_most(self.policy.max_exposed_patients)}. Were no patient exposed, any would "
                f"be flagged in at most {share(self.found.fdr)} of such audits."
            )
        return reasons

    def missing(self) -> list[str]:
        reasons = [] if self.sure else [self._unsure()]
        if self.found.patients_exposed is None:
            reasons.append(
                "Whether training patients are exposed was not tested. It needs an embedder that "
                "has not seen the training images: one trained on the synthetic images, or on "
                "images of other patients altogether."
            )
        reasons += self._unable()
        reasons += self._unseen()
        reasons += self._weak()
        return [*reasons, *self._loose()]

    def _unsure(self) -> str:
        return (
            f"The intervals were not computed at the {share(self.policy.confidence)} confidence "
            "that the policy asks for: run the audit again with this policy."
        )

    def _unable(self) -> list[str]:
        """Say where nothing could have been flagged, on either side."""
        blind = [] if self.found.can_reject else ["synthetic image"]
        if self.found.patients_exposed is not None and not self._patients_can_reject:
            blind.append("training patient")
        if not blind:
            return []
        return [
            f"With {many(self.validation, 'validation patient')} no {' and no '.join(blind)} could "
            f"have been flagged, however alike. At least {patients_to_flag(self.found.fdr)} "
            "validation patients are needed."
        ]

    def _unseen(self) -> list[str]:
        """Say whether more patients may be exposed without a flag than is tolerable."""
        limit = self.policy.max_unseen_patients
        unseen = min_detectable_patients(self.found, self.training) - 1
        if limit is None or self.found.patients_exposed is None or not self._patients_can_reject:
            return []
        if unseen / self.training <= limit:
            return []
        # the fewest that can be flagged: T / (fdr (V + 1))
        spared = math.floor(limit * self.training) + 1
        needed = math.ceil(self.training / (self.found.fdr * spared)) - 1
        return [
            f"Up to {part(unseen, self.training, 'training patient')} may be exposed without any "
            f"being flagged; tolerable is {_at_most(limit)}. About "
            f"{many(max(needed, self.validation + 1), 'validation patient')} instead of "
            f"{self.validation} would change that."
        ]

    @property
    def _patients_can_reject(self) -> bool:
        if self.found.patients_can_reject is not None:
            return self.found.patients_can_reject
        return min_detectable_patients(self.found, self.training) <= self.training

    def _weak(self) -> list[str]:
        """Say where copies might go unnoticed."""
        if self.selftest is None or not self.selftest.sensitivity.conformal.n:
            return [
                "Whether this audit would notice copies was not measured. The self-test does so "
                "with copies made of the training images; it needs the images and the embedder, or "
                "embeddings of such copies."
            ]
        sides = {"noticed": self.selftest.sensitivity.conformal}
        exposure = self.selftest.sensitivity.exposure
        if exposure and self.found.patients_exposed is not None:
            sides["saw the training image exposed by"] = exposure
        return [reason for did, found in sides.items() for reason in self._missed(did, found)]

    def _missed(self, did: str, found: Rate) -> list[str]:
        """Say of one side that it finds too few planted copies."""
        assert self.selftest is not None
        least = self.policy.min_sensitivity
        if found.low >= least:
            return []
        low = apart(found.low, least)
        measured = (
            f"The audit {did} {part(found.count, found.n, 'planted copy')}, and with "
            f"{share(self.selftest.confidence)} confidence no less than {low}; the policy asks for "
            f"{share(least)}."
        )
        needed = patients_to_flag(self.found.alpha)
        if self.validation < needed:
            way = (
                f"With {many(self.validation, 'validation patient')} no single image can be "
                f"noticed at the level of {share(self.found.alpha)}: at least {needed} are needed."
            )
        elif found.rate > least:
            count = plants_for_sensitivity(found.rate, least, self.selftest.confidence)
            way = (
                f"About {max(count, found.n + 1)} planted copies instead of {found.n} would show "
                "it, if the rate stays; at most one is made for each training patient, of whom "
                f"there are {self.training}."
            )
        else:
            way = (
                "A better embedder would change this: train it longer, with changes like those of "
                "the copies that were missed, or take another."
            )
        return [f"{measured} {way}"]

    def _loose(self) -> list[str]:
        """Say where the copy rate may be above what is tolerable."""
        rate, bound = self.found.copy_rate, self.found.copy_rate_upper_bound
        limit = self.policy.max_copy_rate
        if bound is None:
            return [f"The copy rate could not be bounded. {self._plan()}"]
        if bound <= limit:
            return []
        estimate = rate.estimate if rate else 0.0
        said = (
            f"The copy rate may be as high as {apart(bound, limit)} ({share(self.confidence)} "
            f"confidence, estimate {share(estimate)}); tolerable is {_at_most(limit)}."
        )
        if limit == 0:
            return [
                f"{said} That there is no copy at all cannot be shown with any number of images."
            ]
        if estimate >= limit:
            return [
                f"{said} The estimate itself is not below that: more images would show more "
                "clearly what it is, but hardly lead to a pass."
            ]
        count = patients_for_bound(bound, estimate, limit, self.validation, self.synthetic)
        if count is None:
            return [
                f"{said} More validation patients alone would not change that: with "
                f"{many(self.synthetic, 'synthetic image')} more of these are needed too."
            ]
        return [
            f"{said} About {count} validation patients instead of {self.validation} would bring "
            "the bound down to that, if the estimate stays."
        ]

    def _plan(self) -> str:
        """Say what would bound the copy rate, where nothing does."""
        if self.selftest is None or not self.selftest.sensitivity.conformal.n:
            return "It needs the sensitivity that the self-test measures."
        alpha, sensitivity = self.found.alpha, self.selftest.sensitivity.conformal.rate
        hoped = sensitivity if self.found.min_p <= alpha else 0.9
        if hoped <= alpha:
            return (
                "The self-test found planted copies no more often than chance: it needs a better "
                "embedder."
            )
        limit = self.policy.max_copy_rate
        count = patients_to_plan(alpha, hoped, limit, self.confidence, self.synthetic)
        if count is None:
            return "It needs more synthetic images and more validation patients."
        return f"About {count} validation patients would do, of whom there are {self.validation}."

    def grounds(self) -> list[str]:
        assert self.selftest is not None and self.found.copy_rate_upper_bound is not None
        sensitivity, exposed = self.selftest.sensitivity.conformal, self.found.patients_exposed or 0
        fewest = min_detectable_patients(self.found, self.training)
        unseen = many(fewest - 1, "exposed patient")
        few = f" Up to {unseen} would have gone unnoticed at these sizes." if fewest > 1 else ""
        named = self.found.n_copies
        verb = "is" if named == 1 else "are"
        copies = f" {many(named, 'synthetic image')} {verb} named as copies all the same."
        return [
            f"With {share(self.confidence)} confidence the copy rate is at most "
            f"{share(self.found.copy_rate_upper_bound)}; tolerable is "
            f"{_at_most(self.policy.max_copy_rate)}.{copies if named else ''}",
            f"{part(exposed, self.training, 'training patient')} "
            f"{'is' if exposed == 1 else 'are'} flagged as exposed; tolerable is "
            f"{_at_most(self.policy.max_exposed_patients)}.{few}",
            f"The audit noticed {part(sensitivity.count, sensitivity.n, 'planted copy')}, and with "
            f"{share(self.selftest.confidence)} confidence no less than {share(sensitivity.low)}; "
            f"the policy asks for {share(self.policy.min_sensitivity)}.",
        ]


def _at_most(limit: float) -> str:
    return f"at most {share(limit)}" if limit else "none"
