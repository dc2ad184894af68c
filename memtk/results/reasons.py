"""Why a policy passes, fails or cannot judge the numbers: a sentence for each rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from memtk.results.audit import Policy, Screened
from memtk.results.formats import apart, interval, many, part, share
from memtk.results.protocols import Evidence, GroupTest, Rate, SelfTest
from memtk.results.sample_sizes import (
    patients_for_bound,
    patients_to_flag,
    patients_to_plan,
    plants_for_sensitivity,
)
from memtk.results.schema import Counts

ALIKE = 0.05
"""p-value up to which training and validation patients are taken for two populations."""

BLUR = 0.05
"""p-value up to which synthetic images that are no copies are called nearer, or farther, than
strangers are."""


def tipping_point(found: Evidence, limit: float) -> float | None:
    """Return the least sensitivity to the generator's own copies at which a pass holds.

    The bound b of the copy rate takes the sensitivity to be s, that to planted copies; with the
    false positive rate f it grows as (s - f) / (s' - f) with another one s', and reaches the limit
    at

        s* = f + b (s - f) / limit.

    None where it was not computed; see `memtk.memorization.tipping_point` for a bound from counts.
    """
    rule, bound = found.threshold, found.copy_rate_upper_bound
    if rule is None or bound is None or limit <= 0:
        return None
    f = rule.false_positive_rate
    return min(1.0, max(0.0, f + bound * (rule.sensitivity - f) / limit))


@dataclass(frozen=True)
class Case:
    """The numbers that `decide` decides on, and the sentences that they give; see there."""

    policy: Policy
    found: Evidence
    selftest: SelfTest | None
    counts: Mapping[str, Counts]
    identical: int
    screened: Screened | None

    @property
    def training(self) -> int:
        """Training patients."""
        return self.counts["training"].patients

    @property
    def validation(self) -> int:
        """Validation patients."""
        return self.counts["validation"].patients

    @property
    def synthetic(self) -> int:
        """Synthetic images."""
        return self.counts["synthetic"].images

    @property
    def sure(self) -> bool:
        """Whether the rates were computed at the policy's confidence or above."""
        used = [self.found.confidence, self.selftest.confidence if self.selftest else None]
        return all(c is None or c >= self.policy.confidence - 1e-9 for c in used)

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.found.confidence or self.policy.confidence

    @property
    def apart(self) -> GroupTest | None:
        """The test of training against validation patients, where it rejects."""
        test = self.found.comparable and self.found.comparable.population
        return test if test and test.p <= ALIKE else None

    @property
    def blurred(self) -> GroupTest | None:
        """The test of the other synthetic images, where these are nearer than strangers are."""
        test = self.found.comparable and self.found.comparable.synthetic
        return test if test and test.p <= BLUR and test.nearer else None

    def failures(self) -> list[str]:
        """Say why it fails; empty if it does not."""
        reasons, limit = [], self.policy.max_copy_rate
        if self.identical:
            are = "is" if self.identical == 1 else "are"
            reasons.append(
                f"{many(self.identical, 'synthetic image')} {are} identical to a training image, "
                "voxel for voxel."
            )
        exposed, rate = self.found.exposed, self.found.copy_rate
        if self.apart or not self.sure or exposed is None or not exposed.low:
            return reasons
        if exposed.low / self.training > self.policy.max_exposed_patients:
            named = self.found.patients.sure if self.found.patients else 0
            by_name = f", {named} of them by name" if named else ""
            reasons.append(
                f"At least {part(exposed.low, self.training, 'training patient')} "
                f"{'is' if exposed.low == 1 else 'are'} exposed{by_name}: the synthetic images lie "
                "nearer to their images than to those of strangers. Tolerable is "
                f"{_at_most(self.policy.max_exposed_patients)}."
            )
        if rate and rate.low > limit:
            reasons.append(
                f"The copy rate is at least {apart(rate.low, limit)} (estimate "
                f"{share(rate.estimate)}, {interval(rate.low, rate.high, self.confidence)}); "
                f"tolerable is {_at_most(limit)}."
            )
        return reasons

    def missing(self) -> list[str]:
        """Say what keeps it from passing; empty if nothing does."""
        reasons = [] if self.sure else [self._unsure()]
        reasons += self._two_populations()
        if self.screened == "same design":
            reasons.append(
                "A first audit by a detector of the same design chose these images: what it "
                "overlooked, this one overlooks too. Only another design can tell: memtk release "
                "--second-embedder NAME."
            )
        if self.found.exposed is None:
            reasons.append(
                "Whether training patients are exposed was not tested. It needs an embedder that "
                "has not seen the training images: one trained on the synthetic images, or on "
                "images of other patients altogether."
            )
        if self.apart:  # all that follows compares them
            return reasons
        reasons += self._by_ranks()
        reasons += self._alone()
        reasons += self._not_excluded()
        reasons += self._weak()
        return [*reasons, *self._loose()]

    def _unsure(self) -> str:
        return (
            f"The intervals were not computed at the {share(self.policy.confidence)} confidence "
            "that the policy asks for: run the audit again with this policy."
        )

    def _two_populations(self) -> list[str]:
        test = self.apart
        if test is None:
            return []
        return [
            "The training and the validation patients do not look like one population "
            f"(p = {test.p:.3g}, {share(test.size)} of the largest possible distance): another "
            "site, scanner or preparation looks like memorization, and hides it. Take validation "
            "patients from where the training patients come from, or compare within a column of "
            "the manifest that tells the groups apart (--stratify site)."
        ]

    def _by_ranks(self) -> list[str]:
        """Say where nobody could be named by how far they stand out, but by their rank alone."""
        named = self.found.patients
        if named is None or named.model != "ranks":
            return []
        return [
            f"Exposed patients can be named by ranks alone: {named.reason}. A few that were given "
            "back would go unnoticed."
        ]

    def _alone(self) -> list[str]:
        """Say where synthetic images stand out, and no patient in return."""
        copies, rate, exposed = self.found.copies, self.found.copy_rate, self.found.exposed
        supported = exposed is not None and exposed.low > 0
        reasons = []
        if test := self.blurred:
            reasons.append(
                "Synthetic images that are no copies are nearer to the training images than "
                f"strangers are (p = {test.p:.3g}, shifted by {share(test.size)}): blurred or "
                "bland images look like copies, and no lower end of the copy rate can be had. "
                "Sharper images, or a detector that looks at what blur takes away, would change "
                "that."
            )
        if copies and copies.sure:
            reasons.append(
                f"{part(copies.sure, copies.of, 'synthetic image')} "
                f"{'is' if copies.sure == 1 else 'are'} named as copies for sure"
                f"{'' if supported else ', and no patient is shown to be exposed in return'}. Look "
                "at the pairs in the report, and hold these images back: memtk release."
            )
        if rate and rate.low > self.policy.max_copy_rate and self.sure and not supported:
            reasons.append(
                f"The copy rate is at least {share(rate.low)}: synthetic images are nearer to the "
                "training images than strangers are, which blur also causes. No patient is shown "
                "to be exposed in return, so this alone fails nothing."
            )
        return reasons

    def _not_excluded(self) -> list[str]:
        """Say whether more patients may be exposed than is tolerable."""
        exposed, limit = self.found.exposed, self.policy.max_unseen_patients
        if exposed is None or exposed.high / self.training <= limit:
            return []
        said = (
            f"Up to {part(exposed.high, self.training, 'training patient')} are not excluded from "
            f"being exposed; tolerable is {_at_most(limit)}."
        )
        if limit == 0:
            return [f"{said} That no patient at all is exposed cannot be shown."]
        fewest = self.training * (1 - ((1 - self.confidence) / 2) ** (1 / self.training))
        if fewest / self.training > limit:
            return [
                f"{said} With {many(self.training, 'training patient')} no fewer than "
                f"{math.ceil(fewest)} can be excluded, whatever is found."
            ]
        if exposed.high == self.training:
            return [
                f"{said} No planted copy shows how well exposed patients would be seen: the "
                "self-test does so."
            ]
        return [
            f"{said} More validation patients than {self.validation}, or an embedder that sees "
            "more of the planted copies, would bring that down."
        ]

    def _weak(self) -> list[str]:
        """Say where copies might go unnoticed."""
        if self.screened and self.selftest is None:
            return [
                "The first audit would have taken away every planted copy: how well this one finds "
                "copies that the first one overlooks cannot be measured."
            ]
        if self.selftest is None or not self.selftest.sensitivity.conformal.n:
            return [
                "Whether this audit would notice copies was not measured. The self-test does so "
                "with copies made of the training images; it needs the images and the embedder, or "
                "embeddings of such copies."
            ]
        sides = {"noticed": self.selftest.sensitivity.conformal}
        exposure = self.selftest.sensitivity.exposure
        if exposure and self.found.exposed is not None:
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
        """Say what a pass rests on."""
        assert self.selftest is not None and self.found.copy_rate_upper_bound is not None
        exposed, sensitivity = self.found.exposed, self.selftest.sensitivity.conformal
        assert exposed is not None
        limit = self.policy.max_copy_rate
        named = self.found.n_copies
        verb = "is" if named == 1 else "are"
        suspects = f" {many(named, 'synthetic image')} {verb} suspect all the same."
        least, rule = tipping_point(self.found, limit), self.found.threshold
        holds = ""
        if least is not None and rule is not None:
            holds = (
                f" This holds as long as the audit sees at least {share(least)} of the generator's "
                f"own copies; of ours it sees {share(rule.sensitivity)}."
            )
        return [
            f"With {share(self.confidence)} confidence the copy rate is at most "
            f"{share(self.found.copy_rate_upper_bound)}; tolerable is {_at_most(limit)}."
            f"{suspects if named else ''}{holds}",
            f"At most {part(exposed.high, self.training, 'training patient')} "
            f"{'is' if exposed.high == 1 else 'are'} not excluded from being exposed; tolerable is "
            f"{_at_most(self.policy.max_unseen_patients)}.",
            f"The audit noticed {part(sensitivity.count, sensitivity.n, 'planted copy')}, and with "
            f"{share(self.selftest.confidence)} confidence no less than {share(sensitivity.low)}; "
            f"the policy asks for {share(self.policy.min_sensitivity)}.{self._hardest()}",
        ]

    def _hardest(self) -> str:
        """Say of which planted copies the fewest were noticed, beside the mixed ones."""
        assert self.selftest is not None
        plants = [p for p in self.selftest.plants if p.nominal and p.found.conformal.n]
        if not plants:
            return ""
        weakest = min(plants, key=lambda p: p.found.conformal.rate)
        strength = f" of {weakest.strength:g} {weakest.unit}".rstrip() if weakest.strength else ""
        said = f" Of the hardest kind, {weakest.kind}{strength}, it noticed "
        said += f"{weakest.found.conformal.count} of {weakest.found.conformal.n}"
        trip = next((p.found.conformal for p in plants if p.kind == "autoencoder"), None)
        if trip is not None and weakest.kind != "autoencoder":
            said += f", and through the generator's own autoencoder {trip.count} of {trip.n}"
        return f"{said}."


def _at_most(limit: float) -> str:
    return f"at most {share(limit)}" if limit else "none"
