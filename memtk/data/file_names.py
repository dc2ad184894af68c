"""Whose an image is by the name of its file: how known data sets, and most people, name files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CASE = re.compile(r"(?:^|/)([^/]+)_(\d{4})\.[^/]+$")
"""A channel of a case, as nnU-Net names it."""


def below(path: Path, top: Path) -> str:
    """Return a path below a folder, or the whole path if it lies elsewhere.

    >>> below(Path("a/b/c"), Path("a")), below(Path("a/b"), Path("."))
    ('b/c', 'a/b')
    """
    count = len(top.parts)
    if count and path.parts[:count] == top.parts:  # a tenth of the time of `relative_to`
        return "/".join(path.parts[count:]) or "."
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)


@dataclass(frozen=True)
class Layout:
    """How a kind of data set names its files.

    Args:
        name: of it.
        note: what is concluded from the names.
        patient: of a file's path below the folder, "" if its name is not one of these.
    """

    name: str
    note: str
    patient: Callable[[str], str]


def _group(pattern: str) -> Callable[[str], str]:
    """Return what finds the first group of a pattern in a path, "" if it is not there."""

    def find(path: str) -> str:
        found = re.search(pattern, path, re.IGNORECASE)
        return found.group(1) if found else ""

    return find


def _hippocampus(path: str) -> str:
    """Return the patient of a file of the Decathlon's hippocampus.

    >>> [_hippocampus(f"hippocampus_{n}.nii.gz") for n in ("003", "004", "005")]
    ['H002', 'H002', 'H003']
    """
    number = _group(r"(?:^|/)hippocampus_(\d+)\.nii(?:\.gz)?$")(path)
    return f"H{(int(number) + 1) // 2:03d}" if number else ""


HIPPOCAMPUS = Layout(
    "the Decathlon's hippocampus",
    "files 2k-1 and 2k are taken as the two sides of one patient",
    _hippocampus,
)
NIH = Layout(
    "NIH ChestX-ray14",
    "the patient is read from the file names",
    _group(r"(?:^|/)(\d{8})_\d{3}\.(?:png|jpe?g|dcm)$"),
)
BIDS = Layout(
    "BIDS",
    "the patient is read from sub-NAME; all sessions and runs of a subject are one patient's",
    _group(r"(?:^|/)sub-([A-Za-z0-9]+)(?=[_/])"),
)
NNUNET = Layout(
    "nnU-Net",
    "each case (CASE_0000, CASE_0001: its channels) counts as a patient, each channel as an image",
    _group(CASE.pattern),
)

PATIENTS = re.compile(
    r"""
    (?:^|/) ( brats1[789]_[a-z0-9]+_\d+_\d+ | brats(?:20)?2\d_(?:[a-z]+_)?\d{3,} )
    | (?:^|/) ( brats-[a-z]+-\d+ )
    | (?<![^\W_]) ( \d{3}_s_\d{4,5} ) (?!\d)                              # ADNI
    | (?:^|[/_]) ( oas[12]_\d{4} | oas[34]\d{4} ) (?!\d)                  # OASIS
    | (?:^|/) ( ixi\d{3} ) -
    | (?:^|/) ( \d{7} ) _\d{4,5}_\d_\d (?![^\W_])                       # UK Biobank
    | (?:^|/) p\d\d/ ( p\d{8} ) /s\d{8}/                               # MIMIC-CXR
    | (?<![^\W_]) ( tcga[-_][a-z0-9]{2}[-_][a-z0-9]{4} ) (?![^\W_])
    | (?:^|/) ( lidc-idri-\d{4} ) (?!\d)
    | (?:^|/) ( \d+ ) _(?:left|right)\.\w+$                             # EyePACS
    | (?:^|/) (?:cnv|dme|drusen|normal)- ( \d+ ) -\d+\.\w+$              # OCT2017
    | (?:^|/) ( upenn-gbm-\d+ ) _\d\d (?!\d)                             # a scan of several
    | (?:^|/) ( \d{6} ) _\d\d_\d\d/\d{3}\.\w+$                           # DeepLesion
    | (?:^|/) (?:calc|mass)-(?:training|test)_ ( p_\d+ ) _(?:left|right)_(?:cc|mlo)      # CBIS-DDSM
    | (?:^|/) sob_[bm]_[a-z]+- ( \d\d-\w+? ) -\d+-\d+\.\w+$              # BreakHis
    | (?:^|[/_-]) ( (?:pat(?:ient)?(?:id)?|subject|participant|proband)[ _-]?\d+ ) (?![^\W_])
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A patient in a path, as public data sets write it, or anybody: `patient0001`."""

MAMMOGRAM = re.compile(
    r"(?:calc|mass)-(?:training|test)_(p_\d+)_(?:left|right)_(?:cc|mlo)(?:_\d+)?", re.IGNORECASE
)
"""What CBIS-DDSM writes in the place of a patient in headers, too: a woman may have several."""

SLICE = re.compile(r"(.*?)[ /_-]{0,9}(?<![a-z])(?:slice|slc|frame)[ _-]?\d+[^/]*", re.IGNORECASE)
"""A slice of a volume, or a frame: what stands before it names the volume."""


VOLUME = re.compile(r"(?:scan|series|vol|volume)[ _-]?\d+", re.IGNORECASE)
"""A volume by its number, which stands for the patient where nothing else does."""

DAY = re.compile(
    r"(?:(?:19|20)\d\d(?P<sign>[-_.]?)(?:0\d|1[0-2])(?P=sign)[0-3]\d"
    r"|[0-3]\d(?P<mark>[-_.])(?:0\d|1[0-2])(?P=mark)(?:19|20)\d\d)(?:[T _-]\d[\d:.hms_-]*)?"
)
"""A day in the name of a folder or file: 2019-03-27, 20190327_1015, 27.03.2019."""

TILE = re.compile(
    r"[ _-]{0,9}(?<![a-z])(?:(?:patch|tile|crop|roi|idx)[ _-]?\d+(?:[ _,-]\d+)?"
    r"|[xr]\d+[ _-]{0,9}[yc]\d+|row[ _-]?\d+[ _-]{0,9}col(?:umn)?[ _-]?\d+"
    r"|x[ _-]\d+[ _-]{1,9}y[ _-]\d+|class[ _-]?\d+)$",
    re.IGNORECASE,
)
"""What stands behind the name of an image that was cut into parts: x0_y256, patch_7, row1_col2."""

SERIES = re.compile(
    r"(?:^|[ _-]{1,9})(?:t[12]\w{0,3}|flair|swi|dwi|adc|pdw?|b\d{2,4}|pre|post|mri?|cta?|pet|mprage"
    r"|e[ds]|sys(?:tole)?|dia(?:stole)?|insp|exp"
    r"|ax(?:ial)?|cor(?:onal)?|sag(?:ittal)?|tra(?:nsversal)?|(?:session|ses|visit|run)[ _-]?\d+"
    rf"|{VOLUME.pattern}|slices?|images?|imgs?|png|jpe?g|npy|frames?)$",
    re.IGNORECASE,
)
"""What stands behind a patient's name and tells images of the patient apart."""


EYE = re.compile(r"(?<=\d)(?:[LR]|OD|OS)$")
"""A side right behind a number: Image_01L."""
BEHIND = (SERIES, EYE, TILE, re.compile(rf"[ _.-]{{0,9}}(?<!\d){DAY.pattern}$"))

PART = re.compile(
    r"(?<![ _.-])[ _.-]+"
    r"(?:(?:ses|sess|session|v|vis|visit|tp|time|timepoint|run|slice|slc|frame|view)[ _-]?\d+"
    r"|(?:day|wk|week|mo|month|yr|year)[ _-]?\d+|(?:mr|ct|pet)[ _-]d\d\d+|baseline|bl"
    r"|(?:follow[ _-]?up|fu)[ _-]?\d*|left|right|[lr]|o[ds]|cc|mlo)$",
    re.IGNORECASE,
)
"""What stands behind a patient's name and tells visits, sides, views and slices apart."""


VISIT = re.compile(
    r"[ _.-]{1,9}(?:(?:ses|sess|session|vis|visit|tp|time[ _-]?point|day|week|month|year)[ _-]?\d+"
    r"|(?:mr|ct|pet)[ _-]d\d\d+|baseline|follow[ _-]?up)(?=[ _.-])",
    re.IGNORECASE,
)
"""A visit in the middle of a name, before words that nobody knows."""


def tells_apart(name: str) -> bool:
    """Tell whether a name says a visit, a day, a side or a sequence, and nobody.

    >>> [tells_apart(n) for n in ("V01", "2019-03-27", "left", "T1", "baseline", "P1", "001")]
    [True, True, True, True, True, False, False]
    """
    return any(p.fullmatch(n) for p, n in ((DAY, name), (PART, f"_{name}"), (SERIES, name)))


def without_session(name: str) -> str:
    """Return the patient in a name that says a session, a side, a view or a slice too.

    >>> [without_session(n) for n in ("sub-01_ses-2_run-1", "P_00005_LEFT_CC", "OAS30001_MR_d0129")]
    ['sub-01', 'P_00005', 'OAS30001']
    >>> [without_session(n) for n in ("P01-V2", "7_v03", "A1_tp2", "B2 month 6", "C3-FU")]
    ['P01', '7', 'A1', 'B2', 'C3']
    >>> [without_session(f"Mass-Training_P_00001_LEFT_{view}") for view in ("CC", "MLO_1")]
    ['P_00001', 'P_00001']
    >>> [without_session(n) for n in ("ses-2", "site1_3", "A-left", "Smith, R", "1234_L", "P7")]
    ['ses-2', 'site1_3', 'A-left', 'Smith, R', '1234', 'P7']
    """
    if found := MAMMOGRAM.fullmatch(name):
        return found[1]
    for _ in range(4):
        found = PART.search(name)
        if found and any(map(str.isdigit, name[: found.start()])):
            name = name[: found.start()]
    return name


def _without_end(part: str) -> str:
    """Return what a part of a path names, without all that tells images of one patient apart.

    >>> [_without_end(n) for n in ("P1-V2_T1", "P1_Timepoint_2_brain_t1c", "V2", "P7_x0_y9", "a_b")]
    ['P1', 'P1', '', 'P7', 'a_b']
    """
    name, before = part, ""
    while name and name != before:
        before = name
        name = without_session(name)
        found = next(filter(None, (p.search(name) for p in BEHIND)), None)
        name = "" if tells_apart(name) else name[: found.start()] if found else name
    visit = VISIT.search(name)
    return name[: visit.start()] if visit and re.search(r"\d", name[: visit.start()]) else name


def _before_session(path: str) -> tuple[str, str]:
    """Return the patient whom a path names, and what of it tells images of the patient apart.

    Nobody is named where no visit, side, view or sequence stands behind a name with a number.

    >>> [_before_session(p)[0] for p in ("a/P1-V2.png", "P1_v2_T1.nii.gz", "P2/V1/t1.png", "1.png")]
    ['P1', 'P1', 'P2', '']
    """
    whole = re.sub(r"(?:\.nii)?\.[A-Za-z]\w{1,4}$", "", path)
    rest = ""
    for part in reversed(PurePosixPath(whole).parts):
        name = _without_end(part)
        behind = part.removeprefix(name)
        while name and (tile := TILE.search(behind)):
            behind = behind[: tile.start()] or "_"
        rest = f"{behind}/{rest}"
        if name:
            named = re.search(r"\d", name) and rest.strip("/")
            return (name, rest) if named else ("", "")
    return "", ""


def names_sessions(paths: Sequence[str]) -> bool:
    """Tell whether all paths name a patient so, of no more visits, sides or sequences than there
    are patients: 3T_V01 to 3T_V20 are volunteers. Of days those of one patient count; of the parts
    of an image there may be any number.

    >>> names_sessions(["P1_v1.png", "P1_v2.png", "P2_v1.png", "P3_v2.png"])
    True
    >>> names_sessions(["3T_v1.png", "3T_v2.png", "7T_v3.png"]), names_sessions(["P1_v1.png"])
    (False, False)
    >>> names_sessions(["P1_2019-01-11.png", "P1_2019-03-12.png", "P2_2020-02-02.png"])
    True
    >>> names_sessions(["1/P1_x0_y0.png", "1/P1_x0_y9.png", "1/P1_x9_y0.png", "2/P2_x0_y0.png"])
    True
    """
    patients, ends = set[str](), set[str]()
    days = defaultdict[tuple[str, str], set[str]](set)
    for path in paths:
        patient, rest = _before_session(path)
        if not patient:
            return False
        patients.add(patient)
        end = DAY.sub("day", rest)
        ends.add(end)
        days[patient, end].add(rest)
    most = max(map(len, days.values()), default=0)
    return max(most, len(ends)) <= len(patients) < len(paths)


def _patient(path: str) -> str:
    """Return the patient that a path names, "" if none.

    >>> [_patient(p) for p in ("train/patient01/study1/view.jpg", "a/BraTS20_Training_007_t1.nii")]
    ['patient01', 'BraTS20_Training_007']
    >>> [_patient(p) for p in ("a/case07_T1_slice012.npz", "p7/scan2/slice_12.png", "slice_1.png")]
    ['case07', 'p7', '']
    """
    if found := PATIENTS.search(path):
        return next(filter(None, found.groups()))
    before, volume = SLICE.fullmatch(path), ""
    for part in reversed(PurePosixPath(before[1]).parts if before else ()):
        if name := _without_end(part):
            return name if re.search(r"\d", name) else volume
        volume = volume or (part if VOLUME.fullmatch(part) else "")
    return volume


def names_patients(paths: Sequence[str]) -> bool:
    """Tell whether names are of patients: one before all slices is that of a data set.

    >>> names_patients(["images_256/slice_1.png", "images_256/slice_2.png"])
    False
    """
    return any(map(PATIENTS.search, paths)) or len({*map(_patient, paths)} - {""}) > 1


NAMED = Layout(
    "data sets that name the patient (patient12, 002_S_0413, BraTS20_Training_001, case7 of "
    "case7_slice_12)",
    "the patient is read from the file names; all images of one are one patient's. If a name is "
    "that of several people, tell them apart by --set data.patient_pattern=REGEX",
    _patient,
)
SESSIONS = Layout(
    "names that end in a visit, a day, a side, a view, a sequence or a part (P07-V1, "
    "P7_2019-01-11, 12_left, P3/t1, P7_x0_y256)",
    "the patient is read from the file names, and is what stands before it. If that is several "
    "people's, tell them apart by --set data.patient_pattern=REGEX",
    lambda path: _before_session(path)[0],
)
