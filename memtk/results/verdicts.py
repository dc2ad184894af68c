"""From numbers to verdicts: pass, fail or inconclusive, by one set of rules for bench and audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from memtk.results.audit import AuditVerdict, Policy, Screened
from memtk.results.case import Case
from memtk.results.protocols import Evidence, SelfTest
from memtk.results.reasons import failures, grounds, missing
from memtk.results.schema import Counts, Result


@dataclass(frozen=True)
class Verdict:
    """What the numbers of the last checkpoint allow to say.

    Args:
        kind: "memorized", "inconclusive", or "none": no evidence was found, and copies or exposed
            patients in any number that matters would have been.
        reasons: why, a sentence each.
    """

    kind: Literal["memorized", "inconclusive", "none"]
    reasons: tuple[str, ...]

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
        return Verdict("memorized" if found.n_mem else "inconclusive", (old,))
    said = _decided(case_of(result))
    return Verdict(_KINDS[said.outcome], tuple(said.reasons))


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
      `max_copy_rate` and some patient is exposed: blur, too, makes synthetic images nearer than
      strangers are, but not the images of those who were trained on. Nothing but identical images
      fails where training and validation patients are no one population. An interval of less than
      the policy's `confidence` fails nothing.
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
    return AuditVerdict(outcome="pass", reasons=grounds(case))
