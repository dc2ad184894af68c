"""Sentences that bound what the numbers of one synthetic set show."""

from __future__ import annotations

from memtk.evaluation.sides import SURE, Groups, Side
from memtk.results import Exposed
from memtk.results.case import ALIKE
from memtk.results.formats import many

MORE_COPIES = (
    "By name or by count at least {} of the synthetic images are copies, where the sensitivity "
    "allows {} at most: the generator's copies are harder to recognise than those that it was "
    "measured on, or its images nearer than strangers for another reason. No upper end is known."
)
MORE_EXPOSED = (
    "By name or by count more training patients are exposed than the sensitivity to planted copies "
    "allows: the generator's are harder to recognise, and no upper end is known."
)


def notes_on(
    copies: Side, patients: Side | None, groups: Groups, exposed: Exposed | None
) -> list[str]:
    """Return what a reader must know of the names, the sensitivity and the exposed patients.

    Args:
        copies: the tests of the synthetic images.
        patients: of the training patients; None: not tested.
        groups: what they are tests of.
        exposed: how many patients are; None: not tested.
    """
    notes = []
    if copies.test.model == "ranks":
        notes.append(
            f"Names rest on ranks alone: {copies.test.reason}. Few copies can be named then."
        )
    for side, noun in ((copies, "synthetic image"), (patients, "training patient")):
        notes += _margin_note(side, noun) if side else []
    readers = groups.readers
    if readers is not None:
        notes.append(
            "The copy rate is corrected by the sensitivity that readers measured: to the "
            f"{many(int(readers.copy.sum()), 'pair')} of these very images that they called a copy."
        )
    elif "planted" not in groups.arrays:
        notes.append(
            "No copies were planted: the copy rate is not corrected for copies that go unnoticed."
        )
    apart = groups.population is not None and groups.population.p <= ALIKE
    if exposed and "exposure_planted" in groups.arrays and not apart:
        notes += [MORE_EXPOSED] if exposed.sensitivity is None else []
    return notes


def _margin_note(side: Side, noun: str) -> list[str]:
    """Say where no model of the margins holds, so that few or none can be sure."""
    margin, of = side.test.margin, len(side.test.p)
    if margin is None or margin.model != "ranks":
        return []
    few = "none" if of > SURE * (margin.strangers + 1) else "few"
    return [
        "How far strangers stand out from the second nearest patient does not look like one tail, "
        f"so their ranks are used: with {many(margin.strangers, 'stranger')}, {few} of "
        f"{many(of, noun)} can be named for sure, however alike."
    ]
