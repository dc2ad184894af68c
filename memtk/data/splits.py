"""Splits patients into training, validation and held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SPLITS = ("training", "validation", "held_out")
"""The three splits of the patients, in the order in which they are stored."""

GROUPS = (*SPLITS, "synthetic")
"""All groups of images in that order: the splits, and synthetic images, which are no patient's."""

_WORDS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "held_out",
    "testing": "held_out",
    "held_out": "held_out",
    "held-out": "held_out",
    "synthetic": "synthetic",
}


def split_of(word: str) -> str | None:
    """Return the group that a word of a manifest or a folder's name means, None if none.

    >>> split_of("Valid"), split_of("dev")
    ('validation', None)
    """
    return _WORDS.get(word.strip().lower())


def split_words() -> list[str]:
    """Return the words that name a group."""
    return list(_WORDS)


def said(group: str) -> str:
    """Return a group's name for a sentence.

    >>> said("held_out")
    'held out'
    """
    return group.replace("_", " ")


def split_patients(
    patients: Iterable[str], *, validation: float, held_out: float, seed: int
) -> dict[str, str]:
    """Assign each patient to a split; a share above zero gets at least one patient.

    Patients are ordered by a hash of seed and identifier, so the outcome depends neither on the
    order of the files nor on how many images a patient has.

    >>> parts = split_patients("abcdefghij", validation=0.2, held_out=0.1, seed=0)
    >>> sorted(parts.values()).count("validation"), sorted(parts.values()).count("held_out")
    (2, 1)
    """
    order = order_patients(patients, seed)
    counts = [_count(len(order), share) for share in (validation, held_out)]
    parts = dict.fromkeys(order[: counts[0]], "validation")
    parts |= dict.fromkeys(order[counts[0] : sum(counts)], "held_out")
    return {patient: parts.get(patient, "training") for patient in order}


def order_patients(patients: Iterable[str], seed: int) -> list[str]:
    """Return the patients in the order of SHA-256 of seed and identifier: the same for everybody.

    >>> order_patients("abc", 0) == order_patients("cabb", 0)
    True
    """
    return sorted(set(patients), key=lambda p: hashlib.sha256(f"{seed}\x1f{p}".encode()).digest())


def _count(total: int, share: float) -> int:
    return min(total, max(1, round(share * total))) if share > 0 else 0
