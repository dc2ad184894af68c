"""What was found, in words for a reader who is no specialist."""

from __future__ import annotations

from memtk.results.audit import Audit
from memtk.results.formats import interval, many, part, percent, share
from memtk.results.schema import Result
from memtk.results.verdicts import min_detectable_patients, verdict


def headline(result: Result) -> str:
    """Return one sentence on the last checkpoint of a cell.

    It claims what `verdict` allows and no more, states the reference count with what a generator
    that has memorized nothing would score, and never speaks of anonymity or safety: that nothing
    was found is a statement about this embedder and these sizes.
    """
    found = result.last.evidence
    said = verdict(result)
    reference = _reference(result)
    if said.kind == "memorized" and found.n_mem:
        return (
            f"{_of(found.n_mem, result.used_training.images, 'training image')}"
            f"{_from_patients(found.patients_with_flagged_images)} came out of the generator "
            f"again; {_reference(result, short=True)}."
        )
    if said.kind == "memorized":
        return f"{_near(result)}, which patients are exposed was not tested, and {reference}."
    if said.kind == "signs" and found.n_copies:
        back = "" if found.n_mem is None else ", but no training image stands out in return"
        return (
            f"{_near(result)}{back}: a few training images copied over and over look like this, "
            f"and so do synthetic images that all look alike; {reference}."
        )
    if said.kind == "signs":
        why = (
            "the conformal test flags nothing"
            if found.can_reject
            else f"with {_strangers(result)} the conformal test can flag nothing"
        )
        return f"{reference[0].upper()}{reference[1:]}; {why}, so this is no proof."
    if said.kind == "inconclusive":
        return (
            f"Nothing can be said: with {_strangers(result)} no image could have been flagged, "
            f"however alike; {reference}."
        )
    what = "copies" if found.n_mem is None else "memorized images"
    few = f"; up to {said.min_detectable - 1} {what} would have gone unnoticed in any case"
    return (
        f"No evidence of memorization: against {_strangers(result)} no image stands out, and "
        f"{reference}{few if said.min_detectable > 1 else ''}."
    )


def _of(count: int, total: int, noun: str) -> str:
    plural = noun if total == 1 else f"{noun}s"
    return f"{count} of {total} {plural} ({percent(count / total)})"


def _from_patients(count: int | None) -> str:
    if count is None:
        return ""
    return f", from {count} patient{'' if count == 1 else 's'},"


def _near(result: Result) -> str:
    last = result.last
    found = last.evidence
    return (
        f"{_of(found.n_copies, last.n_synthetic, 'synthetic image')} "
        f"{'is' if found.n_copies == 1 else 'are'} nearer to a training image than images of "
        "strangers are"
    )


def _strangers(result: Result) -> str:
    count = result.data.counts["validation"].patients
    return f"{count} validation patient{'' if count == 1 else 's'}"


def _reference(result: Result, *, short: bool = False) -> str:
    """Return the clause on the reference rule; short where the training images were named."""
    found, n = result.last.evidence, result.used_training.images
    counted = f"{found.reference_n_mem} ({percent(found.reference_n_mem / n)})"
    if not short:
        counted = f"{_of(found.reference_n_mem, n, 'training image')} as memorized"
    return (
        f"the reference rule counts {counted}, where a generator that has memorized nothing would "
        f"score about {percent(found.reference_null)}"
    )


_OUTCOMES = {
    "pass": "By rules that were fixed beforehand, these images pass.",
    "fail": "By rules that were fixed beforehand, these images fail.",
    "inconclusive": "By rules that were fixed beforehand, this audit can neither pass nor fail "
    "these images.",
}


def explain(audit: Audit) -> str:
    """Return one paragraph: what was found, how well it would have been found, what stays open.

    It claims nothing that the numbers do not show, and never calls images free of risk: that
    nothing was found is a statement about this comparison and these sizes.
    """
    sentences = [
        _OUTCOMES[audit.verdict.outcome],
        *_copies(audit),
        _patients(audit),
        _noticed(audit),
        *_given(audit),
        "This does not show that no patient can be recognised by other means: by a likeness that "
        "this comparison does not see, with knowledge from elsewhere, or from the generator "
        "itself.",
    ]
    return " ".join(sentences)


def _copies(audit: Audit) -> list[str]:
    found, total = audit.evidence, audit.counts["synthetic"].images
    sentences = []
    if audit.identical_images:
        same = audit.identical_images
        sentences.append(
            f"{part(same, total, 'synthetic image')} {'is' if same == 1 else 'are'} identical to a "
            "training image."
        )
    rate, images = found.copy_rate, many(total, "synthetic image")
    estimate = ""
    if rate:
        estimate = f"{share(rate.estimate)}, {interval(rate.low, rate.high, _sure(audit))}"
    if found.n_copies:
        sentences.append(
            f"Among {images} {found.n_copies} {'is' if found.n_copies == 1 else 'are'} named as "
            "copies: nearer to a training image than images of strangers are. Up to "
            f"{share(found.fdr)} of such names are wrong, on average."
        )
        return sentences + ([f"The estimated share of copies is {estimate}."] if rate else [])
    if rate and rate.low > 0:
        sentences.append(
            f"No single one of {images} could be named as a copy, but taken together they are "
            f"nearer to the training images than images of strangers are: the estimated share of "
            f"copies is {estimate}."
        )
        return sentences
    if not found.can_reject:
        strangers = many(audit.counts["validation"].patients, "validation patient")
        sentences.append(
            f"With {strangers} to compare with, no copy could have been named among {images}, so "
            "that none was named says nothing."
        )
    elif audit.identical_images:
        sentences.append("No synthetic image was named as a copy by its nearness.")
    else:
        sentences.append(f"Among {images} we found no evidence of copies.")
    return sentences + _bounds(audit)


def _bounds(audit: Audit) -> list[str]:
    found, measured = audit.evidence, audit.selftest is not None
    bound, smallest = found.copy_rate_upper_bound, found.min_detectable_copy_rate
    kinds = "of the kinds that were tried" if measured else "that this comparison can notice"
    sentences = []
    if bound is not None:
        sentences.append(
            f"With {share(_sure(audit))} confidence at most {share(bound)} of them are copies "
            f"{kinds}."
        )
    if smallest is not None:
        sentences.append(
            f"A share of such copies of {share(smallest)} would have been noticed four times in "
            "five; a smaller one may go unnoticed."
        )
    return sentences


def _patients(audit: Audit) -> str:
    found, total = audit.evidence, audit.counts["training"].patients
    exposed, fewest = found.patients_exposed, min_detectable_patients(found, total)
    if exposed is None:
        return (
            "Whether the synthetic images lie nearer to patients of the training set than to "
            "strangers was not tested."
        )
    if exposed:
        return (
            f"{part(exposed, total, 'training patient')} {'is' if exposed == 1 else 'are'} "
            "exposed: the synthetic images lie nearer to their images than to those of strangers."
        )
    if fewest > total or found.patients_can_reject is False:
        return "No training patient could have been flagged as exposed at these sizes."
    unseen = (
        f", but up to {many(fewest - 1, 'exposed patient')} would have gone unnoticed at these "
        "sizes in any case"
    )
    return f"No training patient was flagged as exposed{unseen if fewest > 1 else ''}."


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
    if exposure is None or not exposure.n or audit.evidence.patients_exposed is None:
        return f"{measured}."
    weak = exposure.low < audit.policy.min_sensitivity
    return (
        f"{measured}. By the other comparison, from the side of the patients, it saw "
        f"{exposure.count} of the {exposure.n} images exposed whose copies these were "
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
