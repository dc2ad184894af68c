"""What was found, in one sentence for a reader who is no specialist."""

from __future__ import annotations

from memtk.results.protocols import Conformal
from memtk.results.schema import Result
from memtk.results.verdict import verdict


def headline(result: Result) -> str:
    """Return one sentence on the last checkpoint of a cell.

    It claims what `verdict` allows and no more, states the reference count with what a generator
    that has memorized nothing would score, and never speaks of anonymity or safety: that nothing
    was found is a statement about this embedder and these sizes.
    """
    found = result.last.protocols.conformal
    said = verdict(result)
    reference = _reference(result)
    if said.kind == "memorized" and found.n_mem:
        return (
            f"{_of(found.n_mem, result.used_training.images, 'training image')}"
            f"{_patients(flagged_patients(found))} came out of the generator again; "
            f"{_reference(result, short=True)}."
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
    few = f"; up to {said.fewest - 1} {what} would have gone unnoticed in any case"
    return (
        f"No evidence of memorization: against {_strangers(result)} no image stands out, and "
        f"{reference}{few if said.fewest > 1 else ''}."
    )


def flagged_patients(found: Conformal) -> int | None:
    """Return the training patients with a flagged image; None where it was not tested.

    Files of memtk 0.1 hold it as `patients_exposed`.
    """
    new = found.patients_with_flagged_images
    return found.patients_exposed if new is None else new


def percent(fraction: float) -> str:
    """Return a fraction for a reader; what is not nothing is never shown as 0.

    >>> percent(0.453), percent(0.0012), percent(0), percent(0.9999), percent(1)
    ('45 %', '0.1 %', '0 %', '99.9 %', '100 %')
    """
    value = 100 * fraction
    if value in (0, 100):
        return f"{value:.0f} %"
    if 1 <= value <= 99:
        return f"{value:.0f} %"
    return f"{min(max(value, 0.1), 99.9):.1f} %"


def _of(count: int, total: int, noun: str) -> str:
    plural = noun if total == 1 else f"{noun}s"
    return f"{count} of {total} {plural} ({percent(count / total)})"


def _patients(count: int | None) -> str:
    if count is None:
        return ""
    return f", from {count} patient{'' if count == 1 else 's'},"


def _near(result: Result) -> str:
    last = result.last
    found = last.protocols.conformal
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
    dar = result.last.protocols.dar
    counted = f"{dar.n_mem} ({percent(dar.mem_fraction)})"
    if not short:
        counted = f"{_of(dar.n_mem, result.used_training.images, 'training image')} as memorized"
    return (
        f"the reference rule counts {counted}, where a generator that has memorized nothing would "
        f"score about {percent(dar.expected_mem_fraction)}"
    )
