"""The one headline: the answer to a page's question, its two numbers, why, and what can be done.

Terminal, page, study, leaderboard and Python say it in these words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from memtk.errors import many
from memtk.results.audit import Audit
from memtk.results.case import RECOGNISED, Case, Reason, Step
from memtk.results.formats import ends, interval, listed, share
from memtk.results.protocols import Evidence
from memtk.results.reasons import failures, missing
from memtk.results.schema import Result, Used
from memtk.results.verdicts import case_of, grounds, verdict

TITLES = {"pass": "Within policy", "fail": "Fail", "inconclusive": "Inconclusive"}
"""Outcomes of an audit as a reader sees them: a pass is a statement about a policy, no more."""

CONTROLS = ("copycat", "independent")
"""Generators whose truth is known: one gives training images back, one never saw any."""

MOST = 3
"""Reasons that stand below the answer; the details have all."""


@dataclass(frozen=True)
class Answer:
    """What a person reads first.

    Args:
        kind: outcome of an audit, or kind of the verdict on a cell; colours go by it.
        badge: it in a word or two.
        first: answers the question that the page asks, in words for a data protection officer.
        numbers: the copy rate and the exposed patients, each with what chance gives.
        why: at most three reasons, with figures.
        steps: what can be done next, each with how many it takes where that is known.
    """

    kind: Literal["pass", "fail", "inconclusive", "memorized", "none"]
    badge: str
    first: str
    numbers: tuple[str, str]
    why: tuple[str, ...]
    steps: Mapping[Step, int | None]

    @property
    def line(self) -> str:
        """The answer with its two numbers, in one line."""
        return f"{self.first} {self.numbers[0]}; {self.numbers[1][0].lower()}{self.numbers[1][1:]}."


def truth(generator: Used) -> str:
    """Say what the copy rate of a control must be; empty of all other generators."""
    copied = _copied(generator)
    return "" if copied is None else f"about {share(copied)}"


def _copied(generator: Used) -> float | None:
    if generator.plugin != "toy" or generator.name not in CONTROLS:
        return None
    return float(generator.config.get("rate", 1.0)) if generator.name == "copycat" else 0.0


def misses_truth(generator: Used, low: float, high: float) -> bool:
    """Tell whether the interval of a control's copy rate is clearly not about what it must be."""
    copied = _copied(generator)
    return copied is not None and (high < copied - 0.1 or low > copied + 0.05)


def control(result: Result) -> str:
    """Say what the copy rate of a cell must be, of a control; empty of all others.

    Nobody knows what a control scores once a mitigation has picked among its images.
    """
    last = result.last
    picked = last.reevaluated or last.n_synthetic != result.checkpoints[-1].n_synthetic
    return "" if picked else truth(result.components.generator)


def misses(result: Result) -> bool:
    """Tell whether a control clearly did not come out as it must."""
    rate = result.last.evidence.copy_rate
    return rate is not None and misses_truth(result.components.generator, rate.low, rate.high)


def copy_rate(found: Evidence) -> str:
    """Return the copy rate with its interval, in a few words; empty where it was not computed."""
    rate = found.copy_rate
    if rate is None:
        return ""
    said = ends(rate.low, rate.high)
    if found.confidence is not None:
        said = interval(rate.low, rate.high, found.confidence)
    return f"{share(rate.estimate)}, {said}; 0 if nothing is copied{found.readers_note('; {}')}"


def exposed_range(found: Evidence) -> str:
    """Return between how many and how many patients are exposed; empty where not tested.

    >>> from memtk.testing.fakes import evidence
    >>> exposed_range(evidence(exposed=(2, 9)))
    'between 2 and 9 of 64 training patients exposed; 0 if nothing is copied'
    """
    if found.exposed is None:
        return ""
    of = many(found.exposed.of, "training patient")
    return f"{found.exposed.between} of {of} exposed; 0 if nothing is copied"


def two_numbers(found: Evidence) -> tuple[str, str]:
    """Return what stands above all else: the copy rate, and the exposed patients."""
    rate, people = copy_rate(found), exposed_range(found)
    return (
        f"Copy rate {rate}" if rate else "Copy rate not computed",
        people.capitalize() if people else "Exposed patients not tested",
    )


def answer_audit(audit: Audit) -> Answer:
    """Return the answer to "May these synthetic images be released?"."""
    outcome, found = audit.verdict.outcome, audit.evidence
    case = Case(
        audit.policy,
        found,
        audit.selftest,
        audit.counts,
        audit.identical_images,
        audit.screened,
    )
    rules = {"pass": grounds, "fail": failures, "inconclusive": missing}
    reasons: Sequence[Reason] = rules[outcome](case)
    if not reasons:  # of rules that an older memtk had
        reasons = [Reason("", "", text) for text in audit.verdict.reasons]
    whose = "memtk's default" if audit.policy.is_default else "your"
    first = {
        "pass": f"Yes, within {whose} policy. {_within(case, 'these images', 'At most')} This is "
        "no proof that nobody can be recognised.",
        "fail": "No: do not release these images.",
        "inconclusive": "Not yet: do not release these images; this audit can neither pass nor "
        "fail them.",
    }[outcome]
    why = [reason.said for reason in reasons]
    if audit.first_verdict is not None:
        why.insert(
            0,
            "The policy was changed after the results were known (first verdict: "
            f"{audit.first_verdict.outcome}).",
        )
    return Answer(
        outcome,
        TITLES[outcome],
        f"{first} {reasons[0].plain}".strip(),
        two_numbers(found),
        tuple(why[:MOST]),
        _steps(reasons),
    )


def answer_cell(result: Result) -> Answer:
    """Return the answer to "Has this generator memorized its training images?"."""
    said, found, case = verdict(result), result.last.evidence, case_of(result)
    reasons: Sequence[Reason] = [Reason("", "", text) for text in said.reasons]
    steps: Mapping[Step, int | None] = {}
    if found.copies is not None:
        reasons = failures(case) or missing(case) or grounds(case)
        steps = _steps(reasons)
    first = {
        "memorized": "Yes: do not release its images.",
        "inconclusive": "Not shown either way: do not release its images.",
        "none": f"No sign of it, within the default policy: {_within(case, 'its images')}",
    }[said.kind]
    if found.copies is None:
        flagged = "" if found.n_mem is None else f": {many(found.n_mem, 'training image')} flagged"
        first = f"An older memtk evaluated this, by ranks{flagged}."
    return Answer(
        said.kind,
        said.title,
        f"{first} {reasons[0].plain}".strip(),
        two_numbers(found),
        tuple(reason.said for reason in reasons[:MOST]),
        steps,
    )


def headline(result: Result) -> str:
    """Return the answer on a cell with its two numbers, in one line.

    It claims what `verdict` allows and no more, and never speaks of anonymity or safety: that
    nothing was found is a statement about this embedder and these sizes.
    """
    return answer_cell(result).line


def answer_run(results: Sequence[Result]) -> str:
    """Return the answer to "Which generators have memorized their training images?", in a line.

    Of one generator beside controls, and of controls alone, the same as of itself. Whether the
    controls came out as they must stands behind it.
    """
    tested = [result for result in results if not control(result)] or list(results)
    if len(tested) == 1:
        return f"{answer_cell(tested[0]).first} {answer_controls(results)}".strip()
    by: dict[str, list[str]] = {}
    for result in tested:
        by.setdefault(verdict(result).kind, []).append(result.cell)
    said = []
    if cells := by.get("memorized"):
        one = len(cells) == 1
        have = (
            "has memorized its own: do not release its"
            if one
            else ("have memorized theirs: do not release their")
        )
        said.append(f"{listed(cells)} {have} images.")
    if cells := by.get("none"):
        said.append(f"For {listed(cells)} there is no sign, within the default policy.")
    if cells := by.get("inconclusive"):
        said.append(f"For {listed(cells)} it is not shown either way.")
    return " ".join([*said, answer_controls(results)]).strip()


def answer_controls(results: Sequence[Result]) -> str:
    """Say whether the controls beside other generators came out as they must; empty without any."""
    found = [result for result in results if control(result)]
    known = [result for result in found if result.last.evidence.copy_rate is not None]
    if len(found) == len(results) or not known:
        return ""
    wrong = [result for result in known if misses(result)]
    names = listed([result.cell for result in wrong or known])
    count = len(wrong or known)
    noun, they = ("control", "it") if count == 1 else ("controls", "they")
    if wrong:
        return f"Don't trust this: the {noun} {names} did not come out as {they} must."
    return f"The {noun} {names} came out as {they} must."


def _within(case: Case, images: str, most: str = "at most") -> str:
    """Say of a pass what is not excluded."""
    found, exposed = case.found, case.found.exposed
    copies = "" if case.most is None else f"{most} {share(case.most)} of {images} can be copies"
    copies += found.readers_note(" ({})") if copies else ""
    people = (
        ""
        if exposed is None
        else f"images of at most {exposed.high} of {many(exposed.of, 'training patient')} can "
        f"have come out again{RECOGNISED}"
    )
    return f"{', and '.join(each for each in (copies, people) if each)}."


def _steps(reasons: Sequence[Reason]) -> dict[Step, int | None]:
    """Return the steps of all reasons, of each the largest number that is asked for."""
    steps: dict[Step, int | None] = {}
    for reason in reasons:
        for step, count in reason.steps.items():
            steps[step] = max(count or 0, steps.get(step) or 0) or None
    return steps
