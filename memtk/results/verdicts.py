"""From numbers to verdicts, by one set of rules; and what was found, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from memtk.errors import many
from memtk.results.audit import Audit, AuditVerdict, Policy, Screened
from memtk.results.case import (
    RECOGNISED,
    Case,
    Reason,
    most_copies,
    recognised_in_words,
    sensitivity_in_words,
)
from memtk.results.formats import apart, interval, part, share
from memtk.results.protocols import Evidence, Named
from memtk.results.reasons import at_most, failures, missing
from memtk.results.schema import Counts, Result
from memtk.results.selftest import SelfTest


@dataclass(frozen=True)
class Verdict:
    """What the numbers of the last checkpoint allow to say.

    Args:
        kind: "memorized", "inconclusive", or "none": no evidence was found, and copies or exposed
            patients in any number that matters would have been.
        reasons: why, a sentence each.
        brief: why, in two to five words; all that fails, or the first that keeps from passing.
    """

    kind: Literal["memorized", "inconclusive", "none"]
    reasons: tuple[str, ...]
    brief: str = ""

    @property
    def title(self) -> str:
        """The verdict in a few words."""
        return {
            "memorized": "Memorized",
            "inconclusive": "Inconclusive",
            "none": "No evidence found",
        }[self.kind]


_KINDS: Mapping[str, Literal["memorized", "inconclusive", "none"]] = {
    "fail": "memorized",
    "inconclusive": "inconclusive",
    "pass": "none",
}


def verdict(result: Result) -> Verdict:
    """Return the verdict on a cell: that of `decide` by the default policy.

    What was chosen by a score is judged by a second detector of the same design: it cannot be said
    that there is no evidence.

    What an older memtk evaluated has named by ranks: there, training images that are flagged are
    memorized, and all else is inconclusive.
    """
    found = result.last.evidence
    if found.copies is None:
        old = (
            "An older memtk evaluated this: `memtk results recompute RUN --evidence` does so anew."
        )
        return Verdict("memorized" if found.n_mem else "inconclusive", (old,), "by an older memtk")
    case = case_of(result)
    said = _decided(case)
    briefs = [reason.brief for reason in failures(case) or missing(case)[:1]]
    return Verdict(_KINDS[said.outcome], tuple(said.reasons), ", ".join(briefs))


def case_of(result: Result) -> Case:
    """Return what the default policy decides on of a cell: its last checkpoint."""
    counts = result.data.counts | {
        "training": result.used_training,
        "synthetic": Counts(images=result.last.n_synthetic, patients=result.last.n_synthetic),
    }
    screened: Screened | None = "same design" if result.last.reevaluated else None
    same = result.last.identical_images
    return Case(Policy(), result.last.evidence, result.selftest, counts, same, screened)


def decide(
    policy: Policy,
    evidence: Evidence,
    selftest: SelfTest | None,
    counts: Mapping[str, Counts],
    *,
    identical_images: int = 0,
    screened: Screened | None = None,
) -> AuditVerdict:
    """Return what a policy says of the numbers. The rules are fixed before anything is computed.

    - **fail** if a synthetic image is identical to a training image; or the lower end of the
      exposed patients exceeds `max_exposed_patients`; or the lower end of the copy rate exceeds
      `max_copy_rate` and some patient is exposed: named for sure, or counted *at least*. Blur, too,
      makes synthetic images nearer than strangers are, but not the images of those who were trained
      on. Nothing but identical images fails where training and validation patients are no one
      population. An interval of less than the policy's `confidence` fails nothing.
    - **pass** only if all of this holds: training and validation patients look like one population,
      and the synthetic images like theirs, for what resembles nothing cannot be a copy; synthetic
      images that are no copies are not nearer than strangers; the exposure was tested; the
      self-test was run, and the lower end of the interval of its sensitivity reaches
      `min_sensitivity`, for the copies and, where it was measured, for the training images that
      were copied; no detector of the same design chose these images before; no synthetic image is
      named for sure; the upper bound of the copy rate is at most `max_copy_rate`; the upper end of
      the exposed patients is at most `max_unseen_patients`; and nothing was computed at less than
      the policy's `confidence`.
    - **inconclusive** otherwise: each condition that does not hold is a reason, with what would
      change it.

    Args:
        policy: what is tolerable.
        evidence: what was found.
        selftest: how well copies are found; None if it was not run.
        counts: images and patients of "training", "validation" and "synthetic".
        identical_images: synthetic images whose voxels are those of a training image.
        screened: of what a first audit left; a second detector of the same design cannot pass it.
    """
    return _decided(Case(policy, evidence, selftest, counts, identical_images, screened))


def _decided(case: Case) -> AuditVerdict:
    if failed := failures(case):
        return AuditVerdict(outcome="fail", reasons=[reason.text for reason in failed])
    if lacking := missing(case):
        return AuditVerdict(outcome="inconclusive", reasons=[reason.text for reason in lacking])
    return AuditVerdict(outcome="pass", reasons=[reason.text for reason in grounds(case)])


def grounds(case: Case) -> list[Reason]:
    """Say what a pass rests on, and down to where it holds; empty where it is of older rules."""
    exposed, policy, most = case.found.exposed, case.policy, case.most
    if case.selftest is None or exposed is None or most is None:
        return []
    sensitivity, named = case.selftest.sensitivity.conformal, case.found.n_copies
    verb = "is" if named == 1 else "are"
    side = ", one-sided," if case.found.copy_rate and most < case.found.copy_rate.high else ""
    suspects = f"{many(named, 'synthetic image')} {verb} suspect all the same." if named else ""
    said = (
        (
            f"With {share(case.confidence)} confidence{side} the copy rate is at most "
            f"{apart(most, policy.max_copy_rate)}{case.found.readers_note(' ({})')}; the policy "
            f"allows {at_most(policy.max_copy_rate)}.",
            suspects + sensitivity_in_words(case.found, policy.max_copy_rate),
        ),
        (
            f"At most {part(exposed.high, case.training, 'training patient')} "
            "may be exposed, though not shown to be; the policy allows "
            f"{at_most(policy.max_unseen_patients)} of such.",
            recognised_in_words(exposed, policy.max_unseen_patients),
        ),
        (
            f"The audit noticed {part(sensitivity.count, sensitivity.n, 'planted copy')}, and with "
            f"{share(case.selftest.confidence)} confidence no less than {share(sensitivity.low)}; "
            f"the policy asks for {share(policy.min_sensitivity)}.",
            _hardest(case),
        ),
    )
    return [Reason("", "", first, more.strip()) for first, more in said]


def _hardest(case: Case) -> str:
    """Say of which planted copies the fewest were noticed, beside the mixed ones."""
    assert case.selftest is not None
    plants = [p for p in case.selftest.plants if p.nominal and p.found.conformal.n]
    weakest = min(plants, key=lambda p: p.found.conformal.rate, default=None)
    if weakest is None or weakest.found.conformal.rate == 1:
        return ""
    strength = f" of {weakest.strength:g} {weakest.unit}".rstrip() if weakest.strength else ""
    said = f" Of the hardest kind, {weakest.kind}{strength}, it noticed "
    said += f"{weakest.found.conformal.count} of {weakest.found.conformal.n}"
    trip = next((p.found.conformal for p in plants if p.kind == "autoencoder"), None)
    if trip is not None and weakest.kind != "autoencoder":
        said += f", and through the generator's own autoencoder {trip.count} of {trip.n}"
    return f"{said}."


_OUTCOMES = {
    "pass": "these images are within the policy",
    "fail": "these images fail",
    "inconclusive": "this audit can neither pass nor fail these images",
}


def explain(audit: Audit) -> str:
    """Return one paragraph: what was found, how well it would have been found, what stays open.

    It claims nothing that the numbers do not show, and never calls images free of risk: that
    nothing was found is a statement about this comparison and these sizes.
    """
    sentences = [
        rules(audit),
        *_copies(audit),
        _patients(audit),
        _noticed(audit),
        *_given(audit),
        "This does not show that no patient can be recognised by other means: by a likeness that "
        "this comparison does not see, with knowledge from elsewhere, or from the generator "
        "itself.",
    ]
    return " ".join(sentences)


def rules(audit: Audit) -> str:
    """Return the outcome with what it rests on: rules fixed beforehand, or changed since."""
    outcome = _OUTCOMES[audit.verdict.outcome]
    if audit.first_verdict is not None:
        return (
            "The policy was changed after the results were known (first verdict: "
            f"{audit.first_verdict.outcome}). By the changed rules, {outcome}."
        )
    return f"By rules that were fixed beforehand, {outcome}."


def _copies(audit: Audit) -> list[str]:
    found, total = audit.evidence, audit.counts["synthetic"].images
    sentences = []
    if audit.identical_images:
        same = audit.identical_images
        sentences.append(
            f"{part(same, total, 'synthetic image')} {'is' if same == 1 else 'are'} identical to a "
            "training image."
        )
    if found.copies is None:
        sentences.append(
            f"An older memtk evaluated this, and flagged {found.n_copies} of "
            f"{many(total, 'synthetic image')} by ranks: run the audit anew."
        )
    else:
        said = _named(found.copies, "synthetic image", "copies", found.fdr)
        if (least := found.copies.at_least) and not found.copy_rate:
            said += f" Without a model, at least {least} of {found.copies.of} are."
        sentences.append(said)
    if found.copy_rate:
        rate = found.copy_rate
        sentences.append(
            f"The estimated share of copies is {share(rate.estimate)}, "
            f"{interval(rate.low, rate.high, _sure(audit))}{found.readers_note(' ({})')}, "
            "where a generator that has memorized nothing has none."
        )
    most = most_copies(found, audit.policy.max_copy_rate)
    measured = audit.selftest is not None
    if most is not None:
        kinds = "of the kinds that were tried" if measured else "that this comparison can notice"
        sentences.append(
            f"With {share(_sure(audit))} confidence at most {share(most)} of the synthetic images "
            f"are copies {kinds}{found.readers_note(' ({})')}."
        )
    return sentences


def _named(named: Named, noun: str, what: str, fdr: float) -> str:
    """Say how many units are named. How many there are at least, an interval says."""
    if not max(named.sure, named.suspect, named.at_least):
        return f"Among {many(named.of, noun)} none stands out."
    if not max(named.sure, named.suspect):
        return f"No single one of {many(named.of, noun)} could be named."
    count = max(named.sure, named.suspect)
    are = "are" if count > 1 else "is"
    what = "a copy" if (what, count) == ("copies", 1) else what
    return (
        f"Of {many(named.of, noun)} {count} {are} named as {what}, "
        f"{named.sure} for sure; of the named up to {share(fdr)} are wrong on average."
    )


def _patients(audit: Audit) -> str:
    exposed, named = audit.evidence.exposed, audit.evidence.patients
    if exposed is None:
        return (
            "Whether the synthetic images lie nearer to patients of the training set than to "
            "strangers was not tested."
        )
    who = f" {_named(named, 'training patient', 'exposed', audit.evidence.fdr)}" if named else ""
    if exposed.low:
        said = f"{exposed.between.capitalize()} of {many(exposed.of, 'training patient')}"
        return (
            f"{said} are exposed: the synthetic images lie nearer to their images than to those of "
            f"strangers.{who}"
        )
    if_seen = "" if exposed.sensitivity is None else RECOGNISED
    return (
        f"No training patient is shown to be exposed, and at most {exposed.high} of {exposed.of} "
        f"are not excluded{if_seen}.{who}"
    )


def _noticed(audit: Audit) -> str:
    if audit.selftest is None:
        return "How many copies this comparison would notice was not measured."
    found = audit.selftest.sensitivity.conformal
    if found.n == 0:
        return "How many copies this comparison would notice could not be measured."
    made = "we made ourselves from training images, changed as copies may be"
    if audit.data is None:
        made = "were given along with the embeddings"
    measured = (
        f"Of {many(found.n, 'copy')} that {made}, it noticed {found.count} ({share(found.rate)})"
    )
    if found.low < audit.policy.min_sensitivity:
        measured = f"{measured}, too few to rely on: copies may have gone unnoticed"
    exposure = audit.selftest.sensitivity.exposure
    if exposure is None or not exposure.n or audit.evidence.exposed is None:
        return f"{measured}."
    weak = exposure.low < audit.policy.min_sensitivity
    return (
        f"{measured}. By the other comparison, from the side of the patients, it saw "
        f"{exposure.count} of the {many(exposure.n, 'image')} exposed whose copies these were "
        f"({share(exposure.rate)}){', too few to rely on' if weak else ''}."
    )


def _given(audit: Audit) -> list[str]:
    saw = audit.embedder_trained_on
    if audit.data is None:
        return [
            "The comparison was made with embeddings that were given to it, not with images: it "
            "holds as far as these tell patients apart and were made without having seen one group "
            "of the patients and not the other."
        ]
    if saw and "given" in (saw.copies, saw.exposure):
        return [
            "The embedder was brought along: the comparison holds as far as it tells patients "
            "apart and has not seen one group of them and not the other."
        ]
    return []


def _sure(audit: Audit) -> float:
    return audit.evidence.confidence or audit.policy.confidence
