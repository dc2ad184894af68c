"""What mitigations did, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from memtk.bench.effects import overridden
from memtk.bench.plan import Plan
from memtk.interfaces import PhaseSettings
from memtk.results import Deed


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "image"), counted(3, "image")
    ('1 image', '3 images')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def was(count: int) -> str:
    """Return the verb after a number."""
    return "was" if count == 1 else "were"


def settled(plan: Plan, cell: str) -> list[Deed]:
    """Return what is plain before anything is trained: settings and augmentation."""
    deeds = [
        Deed(mitigation=name, text=f"The generator's settings were changed: {said}.")
        for where, name, said in plan.changes
        if where == cell
    ]
    for part in plan.mitigations_of(cell):
        if "augment" in overridden(part.cls):
            text = "The training images were changed anew each time they were shown"
            deeds.append(Deed(mitigation=part.name, text=f"{text}{_encoded(plan, cell)}."))
    return deeds


def _encoded(plan: Plan, cell: str) -> str:
    """Say what a phase with a frozen encoder sees of augmentation, if the generator has phases."""
    values = [value for _, value in plan.generators[cell].config]
    found = sorted({value.variants for value in values if isinstance(value, PhaseSettings)})
    if not found:
        return ""
    many = "changed versions of each, as many as its setting `variants` says"
    if len(found) == 1:
        many = f"{found[0]} changed versions of each"
    return f"; a phase with a frozen encoder drew from {many}"


def in_order(deeds: Sequence[Deed], plan: Plan, cell: str) -> list[Deed]:
    """Return deeds in the order in which the mitigations of a cell are named."""
    names = [part.name for part in plan.mitigations_of(cell)]
    return sorted(deeds, key=lambda deed: names.index(deed.mitigation.split(", ")[-1]))
