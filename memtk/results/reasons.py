"""Why a policy fails the numbers, or cannot judge them, and what would help: one list of rules."""

from __future__ import annotations

import math
from collections.abc import Mapping

from memtk.errors import many
from memtk.results.case import (
    PATIENTS_FOR_TAIL,
    Case,
    Reason,
    Step,
    patients_for_bound,
    patients_to_flag,
    patients_to_plan,
    plants_for_sensitivity,
    sizes_for_bound,
)
from memtk.results.formats import about, apart, p_value, part, share
from memtk.results.selftest import Rate

FEASIBLE = 20
"""How many times the images that there are somebody may be asked for."""


def failures(case: Case) -> list[Reason]:
    """Say why it fails; empty if it does not."""
    reasons, limit = [], case.policy.max_copy_rate
    exposed, rate = case.found.exposed, case.found.copy_rate
    if case.identical:
        are = "is" if case.identical == 1 else "are"
        reasons.append(
            Reason(
                "identical images",
                f"{many(case.identical, 'synthetic image')} {are} a training image, voxel for "
                "voxel.",
                f"{many(case.identical, 'synthetic image')} {are} identical to a training "
                "image, voxel for voxel.",
                steps={"release": None, "retrain": None},
            )
        )
    if case.apart or not case.sure or exposed is None or not case.exposes:
        return reasons
    if rate and rate.low > limit:
        reasons.append(
            Reason(
                "copies",
                f"{about(rate.estimate, rate.low, rate.high)} are copies of training images.",
                f"The copy rate is at least {apart(rate.low, limit)}"
                f"{case.found.readers_note(' ({})')}; the policy allows {at_most(limit)}.",
                steps={"release": None, "retrain": None},
            )
        )
    if exposed.low / case.training > case.policy.max_exposed_patients:
        named = min(case.found.patients.sure, exposed.low) if case.found.patients else 0
        known = f" (of {named} it is known which)" if named else ""
        if 0 < named == exposed.low:
            known = ", and it is known which"
        least = f"at least {exposed.low} of {many(case.training, 'training patient')}"
        headline = f"They give {least} away; which is not known."
        if named:
            headline = f"Images of {least} came out again."
        reasons.append(
            Reason(
                "exposed patients",
                headline,
                f"At least {part(exposed.low, case.training, 'training patient')} "
                f"{'is' if exposed.low == 1 else 'are'} exposed{known}: the synthetic images lie "
                "nearer to their images than to those of strangers; the policy allows "
                f"{at_most(case.policy.max_exposed_patients)}.",
                steps={"release": None, "retrain": None},
            )
        )
    return reasons


def missing(case: Case) -> list[Reason]:
    """Say what keeps it from passing; empty if nothing does."""
    reasons = [] if case.sure else [_unsure(case)]
    reasons += _two_populations(case)
    if case.screened == "same design":
        reasons.append(
            Reason(
                "judged by the filter's own kind",
                "The detector that judged them is of the same kind as the one that chose them.",
                "A first audit by a detector of the same design chose these images: what it "
                "overlooked, this one overlooks too.",
                "Only another design can tell: memtk release --second-embedder NAME.",
                {"second design": None},
            )
        )
    if case.found.exposed is None:
        reasons.append(
            Reason(
                "exposure not tested",
                "Whether images of training patients came out again was not tested.",
                "Whether training patients are exposed was not tested.",
                "It needs an embedder that has not seen the training images: one trained on "
                "the synthetic images, or on images of other patients altogether.",
                {"exposure": None},
            )
        )
    rules = (_unlike, _by_ranks, _alone, _not_excluded, _weak, _loose)  # they compare the two
    return [*reasons, *(each for rule in rules if not case.apart for each in rule(case))]


def _unsure(case: Case) -> Reason:
    return Reason(
        "too little confidence",
        "The policy asks for more confidence than was computed with.",
        f"The intervals were not computed at the {share(case.policy.confidence)} confidence "
        "that the policy asks for.",
        "Run the audit again with this policy.",
        {"policy": None},
    )


def _two_populations(case: Case) -> list[Reason]:
    test = case.apart
    if test is None:
        return []
    return [
        Reason(
            "training and validation unlike",
            "The training and the validation patients are too unlike to be compared.",
            "The training and the validation patients do not look like one population "
            f"({p_value(test.p)}, {share(test.size)} of the largest possible distance): another "
            "site, scanner or preparation looks like memorization, and hides it.",
            "Take validation patients from where the training patients come from, or compare "
            "within a column of the manifest that tells the groups apart (--stratify site).",
            {"check": None},
        )
    ]


def _unlike(case: Case) -> list[Reason]:
    """Say where the synthetic images resemble nothing that could be copied."""
    if (test := case.unlike) is None:
        return []
    plain = "They do not look like real images: too poor to be copies, they show nothing."
    said = (
        f"The synthetic images are unlike real ones (two-sample test: {p_value(test.p)}, "
        f"{share(test.size)} of the largest possible distance): images that resemble nothing "
        "cannot be copies, so that few are found says nothing of the model."
    )
    way = "Train the generator until its images look real, or prepare both in the same way."
    return [Reason("images unlike the data", plain, said, way, {"likeness": None})]


def _by_ranks(case: Case) -> list[Reason]:
    """Say where nobody could be named by how far they stand out, but by their rank alone."""
    named = case.found.patients
    if named is None or named.model != "ranks":
        return []
    fewest = PATIENTS_FOR_TAIL if case.validation < PATIENTS_FOR_TAIL else None
    return [
        Reason(
            "patients named by ranks alone",
            "A few patients that were given back would go unnoticed.",
            f"Exposed patients can be named by ranks alone: {named.reason}.",
            f"{f'Up to {named.may_miss}' if named.may_miss else 'A few'} that were given back "
            "would go unnoticed.",
            steps={"patients": fewest},
        )
    ]


def _alone(case: Case) -> list[Reason]:
    """Say where synthetic images stand out, and no patient in return."""
    copies, rate, reasons = case.found.copies, case.found.copy_rate, []
    if test := case.blurred:
        reasons.append(
            Reason(
                "blur looks like copying",
                "They are blurred or bland, which looks like copying.",
                "Synthetic images that are no copies are nearer to the training images than "
                f"strangers are ({p_value(test.p)}, shifted by {share(test.size)}): blurred or "
                "bland images look like copies, and no lower end of the copy rate can be had.",
                "Sharper images, or a detector that looks at what blur takes away, would "
                "change that.",
                {"detector": None},
            )
        )
    if copies and copies.sure:
        named = "is named as a copy" if copies.sure == 1 else "are named as copies"
        reasons.append(
            Reason(
                "copies, no patient shown exposed",
                f"{many(copies.sure, 'synthetic image')} {named} for sure.",
                f"{part(copies.sure, copies.of, 'synthetic image')} {named} for sure"
                f"{'' if case.exposes else ', and no patient is shown to be exposed in return'}.",
                "Look at the pairs in the report, and hold these images back: memtk release.",
                {"release": None},
            )
        )
    if rate and rate.low > case.policy.max_copy_rate and case.sure and not case.exposes:
        reasons.append(
            Reason(
                "copies, no patient shown exposed",
                f"{about(rate.estimate, rate.low, rate.high)} look like copies, but no patient is "
                "shown to be exposed.",
                f"The copy rate is at least {share(rate.low)}{case.found.readers_note(' ({})')}: "
                "synthetic images are nearer to the training images than strangers are, which "
                "blur also causes.",
                "No patient is shown to be exposed in return, so this alone fails nothing.",
                steps={"release": None} if case.found.n_copies else {},
            )
        )
    return reasons


def _not_excluded(case: Case) -> list[Reason]:
    """Say whether more patients may be exposed than is tolerable."""
    exposed, limit = case.found.exposed, case.policy.max_unseen_patients
    if exposed is None or exposed.high / case.training <= limit:
        return []
    of = many(case.training, "training patient")
    plain = f"Images of up to {exposed.high} of {of} may have come out again."
    said = (
        f"Up to {part(exposed.high, case.training, 'training patient')} may be exposed, though "
        f"not shown to be; the policy allows {at_most(limit)} of such."
    )
    steps: dict[Step, int | None] = {}
    if limit == 0:
        way = "That no patient at all is exposed cannot be shown."
    elif (fewest := _fewest(case)) / case.training > limit:
        way = (
            f"Of {many(case.training, 'training patient')} no fewer than {fewest} stay possible, "
            "whatever is found."
        )
        steps = {"sizes": None}
    elif exposed.high == case.training and case.selftest and case.selftest.sensitivity.exposure:
        way = "No upper end is known: more validation patients might bring one."
        steps = {"patients": None}
    elif exposed.high == case.training:
        way = (
            "No planted copy shows how well exposed patients would be seen: the self-test does so."
        )
        steps = {"selftest": None}
    else:
        way, steps = f"More validation patients than {case.validation}", {"patients": None}
        if exposed.sensitivity != 1:
            way += ", or a detector that sees more of the planted copies,"
            steps |= {"detector": None}
            if (exposed.sensitivity or 0) < case.policy.min_sensitivity:
                steps = {"detector": None, "patients": None}  # more patients alone would not do
        way += " may bring that down."
    return [Reason("exposed patients not ruled out", plain, said, way, steps)]


def _fewest(case: Case) -> int:
    """Return the fewest training patients that any audit of so many can leave open.

    The upper end of none of so many (Clopper and Pearson), in whole patients.
    """
    return math.floor(case.training * (1 - ((1 - case.confidence) / 2) ** (1 / case.training)))


def _weak(case: Case) -> list[Reason]:
    """Say where copies might go unnoticed."""
    plain = "Whether copies would have been noticed was not measured."
    if case.screened and case.selftest is None:
        return [
            Reason(
                "sensitivity not measured",
                plain,
                "The first audit would have taken away every planted copy: how well this one "
                "finds copies that the first one overlooks cannot be measured.",
            )
        ]
    if case.selftest is None or not case.selftest.sensitivity.conformal.n:
        return [
            Reason(
                "sensitivity not measured",
                plain,
                "Whether this audit would notice copies was not measured.",
                "The self-test does so with copies made of the training images; it needs the "
                "images and the embedder, or embeddings of such copies.",
                {"selftest": None},
            )
        ]
    sides = {"noticed": case.selftest.sensitivity.conformal}
    exposure = case.selftest.sensitivity.exposure
    if exposure and case.found.exposed is not None:
        sides["saw the training image exposed by"] = exposure
    return [reason for did, found in sides.items() for reason in _missed(case, did, found)]


def _missed(case: Case, did: str, found: Rate) -> list[Reason]:
    """Say of one side that it finds too few planted copies."""
    assert case.selftest is not None
    least = case.policy.min_sensitivity
    if found.low >= least:
        return []
    low = apart(found.low, least)
    measured = (
        f"The audit {did} {part(found.count, found.n, 'planted copy')}, and with "
        f"{share(case.selftest.confidence)} confidence no less than {low}; the policy asks for "
        f"{share(least)}."
    )
    needed = patients_to_flag(case.found.alpha)
    steps: Mapping[Step, int | None] = {"detector": None}
    if case.validation < needed:
        way = (
            f"With {many(case.validation, 'validation patient')} no single image can be "
            f"noticed at the level of {share(case.found.alpha)}: at least {needed} are needed."
        )
        steps = {"patients": needed}
    elif found.rate > least:
        count = plants_for_sensitivity(found.rate, least, case.selftest.confidence)
        count = max(count, found.n + 1)
        way = (
            f"About {many(count, 'planted copy')} instead of {found.n} would show it, if the rate "
            "stays; at most one is made for each training patient, of whom there are "
            f"{case.training}."
        )
        steps = {"plants": count} if count <= case.training else steps
    else:
        way = (
            "A detector that sees more would change this; the self-test says which kinds of copies "
            "were missed."
        )
    plain = f"It would miss too many copies: it noticed {found.count} of {found.n} planted ones."
    return [Reason("too many copies missed", plain, measured, way, steps)]


def _loose(case: Case) -> list[Reason]:
    """Say where the copy rate may be above what is tolerable."""
    rate, bound = case.found.copy_rate, case.found.copy_rate_upper_bound
    limit, most = case.policy.max_copy_rate, case.most
    if bound is None or most is None:
        return [_unbounded(case)]
    if bound <= limit:
        return []
    estimate = rate.estimate if rate else 0.0
    brief, plain = "copies not ruled out", f"Up to {share(most)} of them may be copies."
    said = (
        f"The copy rate may be as high as {apart(most, limit)} ({share(case.confidence)} "
        f"confidence, estimate {share(estimate)}{case.found.readers_note('; {}')}); the policy "
        f"allows {at_most(limit)}."
    )
    if limit == 0:
        way = "That there is no copy at all cannot be shown with any number of images."
        return [Reason(brief, plain, said, way)]
    if estimate >= limit:
        way = (
            "The estimate itself is not below that: more images would show more clearly what "
            "it is, but hardly lead to a pass."
        )
        return [Reason(brief, plain, said, way, {"release": None} if case.found.n_copies else {})]
    count = patients_for_bound(bound, estimate, limit, case.validation, case.synthetic)
    if count is None or count > FEASIBLE * case.validation:
        both = sizes_for_bound(bound, estimate, limit, case.validation, case.synthetic)
        if both > FEASIBLE * max(case.validation, case.synthetic):
            way = "The estimate lies near to that: more images help only if they lower it."
            return [Reason(brief, plain, said, way, {"images": None, "patients": None})]
        way = (
            "More validation patients alone would not change that: with "
            f"{many(case.synthetic, 'synthetic image')} more of these are needed too, about "
            f"{both} of each if the estimate stays."
        )
        return [Reason(brief, plain, said, way, {"images": both, "patients": both})]
    way = (
        f"About {many(count, 'validation patient')} instead of {case.validation} would bring the "
        "bound down to that, if the estimate stays."
    )
    return [Reason(brief, plain, said, way, {"patients": count})]


def _unbounded(case: Case) -> Reason:
    """Say what would bound the copy rate, where nothing does."""
    brief, said = "copy rate not bounded", "The copy rate could not be bounded."
    if case.selftest is None or not case.selftest.sensitivity.conformal.n:
        way = "It needs the sensitivity that the self-test measures."
        return Reason(brief, said, said, way, {"selftest": None})
    alpha, sensitivity = case.found.alpha, case.selftest.sensitivity.conformal.rate
    hoped = sensitivity if case.found.min_p <= alpha else 0.9
    if hoped <= alpha:
        way = (
            "The self-test found planted copies no more often than chance: it needs a detector "
            "that sees more."
        )
        return Reason(brief, said, said, way, {"detector": None})
    limit = case.policy.max_copy_rate
    count = patients_to_plan(alpha, hoped, limit, case.confidence, case.synthetic)
    if count is None or count > FEASIBLE * case.validation:
        way = "It needs more synthetic images and more validation patients."
        return Reason(brief, said, said, way, {"images": None, "patients": None})
    way = (
        f"About {many(count, 'validation patient')} would do, of whom there are {case.validation}."
    )
    return Reason(brief, said, said, way, {"patients": count})


def at_most(limit: float) -> str:
    """Return what a policy allows."""
    return f"at most {share(limit)}" if limit else "none"
