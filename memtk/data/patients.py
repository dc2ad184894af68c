"""Who a patient is, what counts as one name or as none, and in which split each is."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from memtk.errors import UserError

MISSING = frozenset(
    {
        *("", "nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null", "nil", "-", "--", "?"),
        *("unknown", "unk", "missing", "undefined", "not available", "not given", "void", "(null)"),
    }
)
"""What tables write where nothing is known, in lower case."""

ANONYMOUS = re.compile(r"^(anon(ymous|ymi[sz]ed)?|removed|deleted|blinded|de-?identified|x+|0+)$")
"""What anonymisers write into a header in place of every patient; in normal form."""


def patient_name(value: Any) -> str:
    """Return the name that a caller or a table gives a patient as text; "" where it is missing.

    Scalars of NumPy and torch, bytes and whole floats become what they stand for: `7.0` is "7".

    >>> [patient_name(v) for v in (7, 7.0, b"p7", " p7 ", None, float("nan"), "N/A", "'007")]
    ['7', '7', 'p7', 'p7', '', '', '', '007']
    """
    if hasattr(value, "item") and getattr(value, "shape", None) in ((), (1,)):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFC", "" if value is None else str(value)).strip()
    text = re.sub(r"^'(?=\S)", "", text).strip("\"'‘’“”` ")  # Excel's mark of text, and quotes
    return "" if text.lower() in MISSING else text


def normal_form(patient: str) -> str:
    """Return what spellings of one patient share: case, zeros, `.0`, signs, `sub-`, width.

    >>> [normal_form(p) for p in ("00012", "12.0", "sub-12", "P_07", "p 7", "Ｐ-7")]
    ['12', '12', '12', 'p7', 'p7', 'p7']
    """
    text = unicodedata.normalize("NFKC", patient).casefold().strip("\"'` \t")
    text = re.sub(r"^sub(ject)?[-_ ]*(?=\w)", "", text)
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)
    text = re.sub(r"[\s_\-\u2010-\u2015]+", "-", text).strip("-")
    text = re.sub(r"(?<=[^\W\d])-(?=\d)", "", text)  # P-07 is P07
    return re.sub(r"0+(?=\d)", _without_zeros, text)


def _without_zeros(found: re.Match[str]) -> str:
    """Drop zeros that begin a number, and leave those within it."""
    before = found.string[found.start() - 1 : found.start()]
    return found.group() if before.isdigit() else ""


def from_header(patient: str) -> str:
    """Return a code for the patient that a file's header names; "" if it names nobody.

    The header's own number is an identifier, and is shown and stored nowhere.
    """
    normal = normal_form(patient_name(patient))
    if not normal or ANONYMOUS.match(normal):
        return ""
    return f"header-{hashlib.sha256(f'memtk patient {normal}'.encode()).hexdigest()[:10]}"


def near_equal(patients: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Return the names that are spelled differently and share their normal form, with two splits.

    Args:
        patients: of each name, the splits that it is in.

    >>> near_equal({"007": ["training"], "7": ["validation"], "8": ["training"]})
    [('007', '7')]
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in patients:
        alike[normal_form(name)].append(name)
    return [
        tuple(sorted(names))
        for _, names in sorted(alike.items())
        if len(names) > 1 and len({split for name in names for split in patients[name]}) > 1
    ]


def patient_names(patients: Iterable[Any], where: str) -> tuple[str, ...]:
    """Return the names of patients that somebody has in memory: texts, numbers, bytes, tensors.

    Args:
        where: of the argument, for messages.

    Raises:
        UserError: if one is missing, naming its row.
    """
    return tuple(check_named(each, f"{where}[{row}]") for row, each in enumerate(patients))


def check_named(patient: Any, where: str) -> str:
    """Return the name of a patient.

    Raises:
        UserError: if it is missing.
    """
    name = patient_name(patient)
    if not name:
        said = "empty" if patient is None or not str(patient).strip() else f"{str(patient)!r}"
        raise UserError(f"{where} is {said}: that names nobody")
    return name


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
