"""One image of a run, before it is read."""

from __future__ import annotations

from dataclasses import dataclass

from memtk.interfaces import Record


@dataclass(frozen=True)
class Sample:
    """One image: what it is called, whose it is, in which split.

    Args:
        name: for messages.
        patient: whose it is; "synthetic <number>" for a synthetic image, which is nobody's.
        split: "training", "validation", "held_out" or "synthetic".
        record: where it lies; None for a phantom.
        number: a phantom's patient, and which `image` of that patient it is.
    """

    name: str
    patient: str
    split: str
    record: Record | None = None
    number: int = 0
    image: int = 0
