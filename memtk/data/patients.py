"""Who a patient is, what counts as one name or as none, and in which split each is."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from memtk.errors import UserError

MISSING = frozenset(
    {
        *("", "nan", "na", "nat", "none", "null", "nil", "unknown", "unk", "missing", "undefined"),
        *("notavailable", "notgiven", "notknown", "notapplicable", "nonegiven", "unspecified"),
        *("void", "tbd", "anonymous", "anonym", "anon", "anonymus", "nobody", "noname", "notset"),
        *("anonymized", "anonymised", "deidentified", "removed", "deleted", "blinded", "redacted"),
        *("pseudonymized", "pseudonymised", "withheld", "empty", "blank", "unnamed", "nodata"),
        *("unbekannt", "keineangabe", "anonymisiert", "leer", "fehlt", "inconnu", "inconnue"),
        *("anonyme", "anonymisé", "nonrenseigné", "desconocido", "desconocida", "anónimo"),
        *("anonimo", "anonimizado", "sconosciuto", "sconosciuta", "anonimizzato", "onbekend"),
        *("anoniem", "desconhecido", "anônimo", "ukjent", "ukendt", "okänd", "tuntematon"),
        *("nieznany", "neznámý", "ismeretlen", "bilinmiyor", "неизвестно", "неизвестный", "аноним"),
        *(
            "unknownpatient",
            "patientunknown",
            "anonymouspatient",
            "notrecorded",
            "notfound",
            "noid",
        ),
        *("notstated", "tba", "xxx", "pdna", "ohneangabe", "nichtbekannt", "nichtangegeben"),
        *("sindato", "noncommuniqué"),
        *("άγνωστο", "未知", "不明", "匿名", "未詳", "無", "无", "未知患者", "미상", "알수없음"),
    }
)
"""What tables write where nothing is known: its letters and digits, in lower case."""

NO_VALUE = re.compile(r"#[A-Z/0]+[!?]|#N/A N/A|-?1[.,]#(IND|QNAN)|\d[.,]\d+E\+\d+")
"""What spreadsheets and C write where a value could not be computed, and 1.23457E+12, as which a
spreadsheet saves all long numbers that begin so."""

TITLES = frozenset(
    {
        *("sub", "subj", "subject", "patient", "pat", "pt", "id", "pid", "mrn", "case", "no", "nr"),
        *("participant", "person"),
    }
)
"""Words before a number that say only that it is a patient's."""

ANONYMOUS = re.compile(r"^(anon(ymous|ymi[sz]ed)?|removed|deleted|blinded|deidentified|x+|0+)$")
"""What anonymisers write into a header in place of every patient: its letters and digits."""


def patient_name(value: Any) -> str:
    """Return the name that a caller or a table gives a patient as text; "" where it is missing.

    Scalars of NumPy and torch, bytes and whole floats become what they stand for: `7.0` is "7".

    >>> [patient_name(v) for v in (7, 7.0, b"p7", " p7 ", None, float("nan"), "N/A", "'007")]
    ['7', '7', 'p7', 'p7', '', '', '', '007']
    """
    if value is np.ma.masked:
        return ""
    if hasattr(value, "item") and getattr(value, "shape", None) in ((), (1,)):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFC", _seen("" if value is None else str(value)))
    text = " ".join(text.split())
    text = re.sub(r"^'(?=\S)", "", text).strip("\"'‘’“”` ")  # Excel's mark of text, and quotes
    return "" if is_missing(text) else text


def is_missing(text: str) -> bool:
    """Tell whether a text is what tables write where nothing is known, in whatever signs.

    >>> [is_missing(text) for text in ("", "N / A", "n.a.", "<NULL>", "---", "#REF!", "Anna", "0")]
    [True, True, True, True, True, True, False, False]
    """
    letters = "".join(part for _, part in _parts(unicodedata.normalize("NFKC", text).lower()))
    return letters in MISSING or bool(NO_VALUE.fullmatch(text))


def normal_form(patient: str) -> str:
    """Return what spellings of one patient share: letters and numbers, without what is around them.

    Case, width, zeros before a number, `.0` behind it, signs, characters that nobody sees, and
    words such as `sub-`, `patient` and `ID` before a number say nothing about whose an image is.

    >>> [normal_form(p) for p in ("00012", "12,0", "sub-12", "ID #12", "P_07", "p\u200b7", "Ｐ-7")]
    ['12', '12', '12', '12', 'p7', 'p7', 'p7']
    >>> [normal_form(p) for p in ("1-11", "11-1", "Doe, J.", "doe^j")]
    ['1-11', '11-1', 'doe-j', 'doe-j']
    """
    text = unicodedata.normalize("NFKC", _seen(patient)).casefold()
    parts = _parts(re.sub(r"(?<=\d)[.,]0+(?=\W*$)", "", text))
    if len(parts) > 1 and parts[0][1] in TITLES and parts[1][0]:
        parts = parts[1:]
    found, before = "", None
    for number, part in parts:
        # P-07 is P07, and 1-11 is not 111
        found += ("-" if number == before else "") + (part.lstrip("0") or "0" if number else part)
        before = number
    return found


def _parts(text: str) -> list[tuple[bool, str]]:
    """Return the numbers and the words of a text, and of each whether it is a number."""

    def kind(sign: str) -> str:
        category = unicodedata.category(sign)
        return category if category == "Nd" else "L" if category[0] in "LMN" else ""

    return [
        (of == "Nd", "".join(str(unicodedata.decimal(c, c)) for c in signs))
        for of, signs in itertools.groupby(text, kind)
        if of
    ]


def _seen(text: str) -> str:
    """Leave out characters that nobody sees, as copying from pages and tables brings them."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def from_header(patient: str) -> str:
    """Return a code for the patient that a file's header names; "" if it names nobody.

    The header's own number is an identifier, and is shown and stored nowhere.
    """
    name = patient_name(patient)
    bare, normal = "".join(part for _, part in _parts(name)).casefold(), normal_form(name)
    if not normal or ANONYMOUS.match(bare):
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
        UserError: if one is missing, or is several, naming its row.
    """
    names = []
    for row, each in enumerate(patients):
        if isinstance(each, list | tuple | set | dict) or math.prod(np.shape(each)) != 1:
            raise UserError(f"{where}[{row}] holds several values: a patient has one name")
        names.append(check_named(each, f"{where}[{row}]"))
    return tuple(names)


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
