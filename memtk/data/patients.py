"""Who a patient is, what counts as one name or as none, and in which split each is."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from typing import Any

import numpy as np

from memtk.data.file_names import without_session
from memtk.errors import UserError


def without_accents(text: str) -> str:
    """Return a text in one form of each letter.

    >>> without_accents("Máscara Ｇ")
    'Mascara G'
    """
    signs = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in signs if not unicodedata.combining(sign))


def _plain(text: str) -> str:
    return without_accents(text).lower()


MISSING = frozenset(
    _plain("""
    nan na nat none null nil unknown unk missing undefined unspecified void tbd tba tbc inf
    anonymous anonym anon anonymus nobody anonymized anonymised deidentified removed deleted blinded
    redacted pseudonymized pseudonymised withheld empty blank unnamed xxx pdna unassigned
    unavailable unidentified unreported unrecorded noid unbekannt anonymisiert leer fehlt fehlend
    inconnu inconnue anonyme anonymise anonymisee manquant desconocido desconocida anonimo anonima
    anonimizado sconosciuto sconosciuta ignoto anonimizzato mancante onbekend anoniem ontbreekt
    desconhecido desconhecida ukjent ukendt okand tuntematon nieznany nieznana brak neznamy
    neznama ismeretlen bilinmiyor bilinmeyen necunoscut nepoznat неизвестно аноним неизвестный нет
    keine keiner aucun aucune ninguno nessuno geen ingen kangabe kangaben oangabe αγνωστο αγνωστος
    未知 不明 匿名 未詳 無 无 缺失 미상 알수없음
    """).split()
) | {""}
"""What tables write where nothing is known: its letters, in lower case, without accents."""

NEGATIONS = frozenset(
    _plain("""
    no not non none without kein keine keinen nicht ohne sans pas aucun aucune sin sem nao senza
    nessun nessuno geen niet ingen inget ikke inte ej ei bez нет не без
    """).split()
)
SAID = frozenset(
    _plain("""
    available given known applicable set name data recorded found stated specified reported
    provided entered assigned identified documented disclosed collected information info value
    entry id patient subject case number record angabe angaben bekannt angegeben vorhanden
    verfugbar erfasst benannt zugeordnet namen renseigne renseignee communique communiquee
    disponible connu connue nom precise specifie indique donnee donnees identifie dato datos
    nombre conocido especificado consta informado identificado numero dados dado nome informacao
    conhecido disponivel disponibile noto nota specificato indicato dati bekend opgegeven
    beschikbaar naam gegevens uppgift angivet kand kjent oplyst kendt tietoa danych данных указано
    известно имени pseudonym code any avail erhoben eingetragen vergeben ermittelt identificar yet
    de pasient paziente paciente patiente patienten pacjent пациент np numpy math float
    """).split()
)
"""Words that say together that nothing is known, in any order: no patient ID, keine Angabe."""

ABBREVIATED = frozenset({"ka", "oa", "sn", "nk", "nd", "sd", "nc", "nn", "nv", "nb"})
"""Short for these, where signs part its letters: k. A., s/n, N/K; else they may be initials."""

NO_VALUE = re.compile(r"#[A-Z/0]+[!?]|#N/A N/A|-?1[.,]#(IND|QNAN)|[xX]{3,}([-. ^]+[xX]+)*")
"""What spreadsheets and C write where a value could not be computed, and X in place of letters."""

NO_NUMBER = re.compile(r"-\d+([.,]0+)?")
"""What statisticians' programs write where nobody's number is known: -1, -99."""

_MONTH = "(Jan|Feb|Mar|Mrz|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez)"
CHANGED = re.compile(
    rf"\d[.,]\d+E\+\d+|\d[.,]\d{{1,6}}e\+(?!0[0-5])\d+"
    rf"|([0-2]?\d|3[01])(-|\. ){_MONTH}|{_MONTH}[- ]\d\d"
)
"""What spreadsheets and %g make of names: 1.23457E+12 of all long numbers that begin so, 12-Mar of
3-12, 03/12 and MAR12, Mar-45 of 3-45."""

TITLES = frozenset(
    _plain("""
    sub subj subject patient pat pt id pid mrn case no nr participant person patientid subjectid
    patienten paciente paziente sujet proband fall number num nummer code
    """).split()
)
"""Words before the name of a patient that say only that it is one, where a number is in it."""

ALWAYS = frozenset({"sub", "subj", "subject", "patient", "participant", "paciente", "proband"})
"""Those that say it before any name."""

THOUSANDS = re.compile(r"\d{1,3}([,'’]\d{3})+([.]0+)?")
"""A number with its thousands parted: 1,000 is not 1."""

AS_TEXT = re.compile(
    r"(?:\w+\.)?(?:tensor|array|u?int\d+|float\d+|str_|bytes_)\(([^,]+?)(?:,.*)?\)"
)
"""What Python's `str` makes of the scalar of a library: `tensor(7)`, `np.int64(7)`."""

AS_BYTES = re.compile(r"b[\"'](.+?)[\"']?")
"""What it makes of bytes, as a table has it: `b'p7'`, of which quotes at the end are gone."""

EXPONENT = re.compile(r"0*[1-9]\d*(?:[.,]\d+)?e[+]?\d{1,2}", re.IGNORECASE)
"""A whole number as spreadsheets and C write it: `7E+00`, `1e3`."""

UUID = re.compile(r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)
"""A name that a computer made, which some programs write without its hyphens."""

SUFFIX = re.compile(
    r"\.(?:nii|nrrd|nhdr|mha|mhd|dcm|dicom|png|jpe?g|tiff?|bmp|npy|npz|h5|hdf5|gz|zip)",
    re.IGNORECASE,
)
"""What ends the name of a file, which a table has in the place of a patient's."""

ANONYMOUS = re.compile(r"^(anon(ymous|ymi[sz]ed)?|removed|deleted|blinded|deidentified|x+|0+)$")
"""What anonymisers write into a header in place of every patient: its letters and digits."""


LIKE_LATIN = str.maketrans(
    "АВЕКМНОРСТУХЅІЈаеорсухѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧοı", "ABEKMHOPCTYXSIJaeopcyxsijABEZHIKMNOPTYXoi"
)
"""Letters of Cyrillic, Greek and Turkish that look like Latin ones: keyboards mix them up."""


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
    if isinstance(value, bytes | bytearray):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float) and abs(value) >= 2**53:
        return ""  # the last digits are lost: several patients share it
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFC", _seen("" if value is None else str(value)))
    text = " ".join(text.split())
    text = re.sub(r"^'(?=\S)", "", text).strip("\"'‘’“”` ")  # Excel's mark of text, and quotes
    nobody = NO_NUMBER.fullmatch(text) or text.lower() in ("true", "false") or is_missing(text)
    return "" if nobody else text


def is_missing(text: str) -> bool:
    """Tell whether a text is what tables write where nothing is known, in whatever signs.

    >>> [is_missing(text) for text in ("", "N / A", "n.a.", "<NULL>", "---", "#REF!", "Anna", "0")]
    [True, True, True, True, True, True, False, False]
    >>> [is_missing(text) for text in ("k. A.", "KA", "Name not given", "sin dato", "Sindato")]
    [True, False, True, True, True]
    """
    words = [part for _, part in _parts(_plain(text))]
    letters = "".join(words)
    if letters in MISSING or NO_VALUE.fullmatch(text) or CHANGED.fullmatch(text):
        return True
    if letters in ABBREVIATED and len(words) == 2 and re.search(r"[./\\]", text):
        return True
    if len(words) > 1:
        rest = [word for word in words if word not in SAID | NEGATIONS]
        negated = any(word in NEGATIONS for word in words)
        return all(r in MISSING for r in rest) or "".join(rest) in MISSING if rest else negated
    ends = [letters.removeprefix(no) for no in NEGATIONS if letters.startswith(no)]
    return any(len(end) > 2 and end in SAID for end in ends)


def normal_form(patient: str) -> str:
    """Return what spellings of one patient share: letters and numbers, without what is around them.

    Case, width, zeros before a number, `.0` behind it, signs, characters that nobody sees, and
    words such as `sub-`, `patient` and `ID` before a number say nothing about whose an image is.

    >>> [normal_form(p) for p in ("00012", "12,0", "sub-12", "ID #12", "P_07", "p\u200b7", "Ｐ-7")]
    ['12', '12', '12', '12', 'p7', 'p7', 'p7']
    >>> [normal_form(p) for p in ("1-11", "11-1", "Doe, J.", "doe^j")]
    ['1-11', '11-1', 'doe-j', 'doe-j']
    """
    text = unicodedata.normalize("NFKC", _seen(patient)).casefold().strip("\"'‘’“”` ()[]#.")
    if THOUSANDS.fullmatch(text):
        text = re.sub(r"[,'’]", "", text)
    parts = _parts(re.sub(r"(?<=\d)[.,]0+(?=\W*$)", "", text.replace("n°", "no ")))
    words = list(itertools.takewhile(lambda part: not part[0], parts))
    if len(words) < len(parts) and "".join(word for _, word in words) in TITLES:  # P.I.D. 8
        parts = parts[len(words) :]
    while len(parts) > 1 and parts[0][1] in TITLES:
        if parts[0][1] not in ALWAYS and not any(number for number, _ in parts[1:]):
            break  # nothing that names a patient by itself stands behind it
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
    return "".join(c for c in text if c != "\0" and unicodedata.category(c) != "Cf")


def from_header(patient: str) -> str:
    """Return a code for the patient that a file's header names; "" if it names nobody.

    The header's own number is an identifier, and is shown and stored nowhere.
    """
    name = without_session(patient_name(patient))
    bare, normal = "".join(part for _, part in _parts(name)).casefold(), normal_form(name)
    if not normal or ANONYMOUS.match(bare):
        return ""
    return f"header-{hashlib.sha256(f'memtk patient {normal}'.encode()).hexdigest()[:10]}"


def near_equal(patients: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Return the names that differ and share their normal form, without a session, in two splits.

    Args:
        patients: of each name, the splits that it is in.

    >>> near_equal({"007": ["training"], "7": ["validation"], "8": ["training"]})
    [('007', '7')]
    >>> near_equal({"tensor(7)": ["training"], "7": ["validation"]})
    [('7', 'tensor(7)')]
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in patients:
        # both: 1E-3 may be 1E3, or 1E3 be 1000
        for form in {normal_form(without_session(n)) for n in (name, _without_wrapping(name))}:
            alike[form].append(name)
    several = (sorted(names) for _, names in sorted(alike.items()) if len(names) > 1)
    in_two = (n for n in several if len({split for each in n for split in patients[each]}) > 1)
    return list(dict.fromkeys(map(tuple, in_two)))


def _without_wrapping(name: str) -> str:
    """Return what a name is without what programs write around it, and without accents.

    >>> [_without_wrapping(p) for p in ("b'p7'", "tensor([7.], dtype=x)", "np.str_('p7')", "1.5e3")]
    ['p7', '7.', 'p7', '1500']
    >>> [_without_wrapping(p) for p in ("case_7.nii.gz", "7E+00", "P.gz", "Doe, J.")]
    ['case_7', '7', 'P', 'Doe, J.']
    """
    text = without_accents(_seen(name)).strip().translate(LIKE_LATIN)
    if UUID.fullmatch(text):
        return text.strip("{}").replace("-", "")
    for pattern in (AS_TEXT, AS_BYTES):
        if found := pattern.fullmatch(text):
            text = found[1].strip("[]() ").removeprefix("'").removesuffix("'")
    text = without_suffix(text)
    return f"{Decimal(text.replace(',', '.')):f}" if EXPONENT.fullmatch(text) else text


def without_suffix(name: str) -> str:
    """Return the name of a file without what says its format.

    >>> without_suffix("1.2.840.nii.gz"), without_suffix("1.2.840")
    ('1.2.840', '1.2.840')
    """
    while found := re.fullmatch(f"(.+){SUFFIX.pattern}", name, re.IGNORECASE):
        name = found[1]
    return name


def patient_names(patients: Iterable[Any], where: str) -> tuple[str, ...]:
    """Return the names of patients that somebody has in memory: texts, numbers, bytes, tensors.

    Args:
        where: of the argument, for messages.

    Raises:
        UserError: if one is missing, or is several, naming its row.
    """
    if isinstance(patients, str | bytes | Mapping | Set):
        raise UserError(f"{where}: give a list, the patient of each image in the order of these")
    names = []
    for row, each in enumerate(patients):
        if isinstance(each, list | tuple | set | dict | np.void) or math.prod(np.shape(each)) != 1:
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
        changed = CHANGED.fullmatch(str(patient).strip())
        why = "a spreadsheet made it of a name: save that column as text"
        raise UserError(f"{where} is {said}: {why if changed else 'that names nobody'}")
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
