"""The columns of a manifest: what others call them, and what spreadsheets make of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from memtk.data.patients import normal_form, split_of

NAMES = {
    "path": frozenset(
        {
            *("file", "filename", "filepath", "filelocation", "image", "imagepath", "imagefile"),
            *("imageid", "dicomid", "imagedataid", "imageuid"),
            *("imageindex", "img", "imgpath", "location", "imagename", "fname", "files", "images"),
            *("localpath", "imageurl", "imagefilename"),
            *("datei", "dateiname", "dateipfad", "pfad", "bild", "bilddatei", "bildname"),
            *("fichier", "nomfichier", "chemin", "archivo", "nombrearchivo", "fichero", "ruta"),
            *("imagen", "arquivo", "caminho", "imagem", "percorso", "immagine", "bestand", "plik"),
            *(
                "файл",
                "имяфайла",
                "путь",
                "изображение",
                "文件",
                "文件名",
                "文件路径",
                "路径",
                "图像",
            ),
            *(
                "图片",
                "图像名",
                "檔名",
                "檔案",
                "ファイル",
                "ファイル名",
                "パス",
                "画像",
                "画像名",
                "파일",
                "파일명",
            ),
        }
    ),
    "patient_id": frozenset(
        {
            *("patient", "patientid", "patientname", "subject", "subjectid", "case", "caseid"),
            *("participant", "participantid", "person", "pid", "mrn", "id", "patientnumber"),
            *("eid", "ptid", "subjectnumber", "subjectno", "patientno", "personid", "idpatient"),
            *(
                "patientennummer",
                "patientenid",
                "patientnr",
                "patientennr",
                "fallnummer",
                "proband",
            ),
            *(
                "numeropatient",
                "numéropatient",
                "nompatient",
                "paciente",
                "idpaciente",
                "pacienteid",
                "paziente",
                "idpaziente",
            ),
            *("patiënt", "pacjent", "sujet", "sujeto", "пациент", "идпациента", "idпациента"),
            *(
                "患者",
                "患者id",
                "患者编号",
                "患者番号",
                "患者號",
                "病人",
                "病人id",
                "病历号",
                "환자",
                "환자번호",
            ),
        }
    ),
    "split": frozenset(
        {
            *("set", "subset", "fold", "partition", "dataset", "phase", "usage", "group"),
            *(
                "aufteilung",
                "teilmenge",
                "gruppe",
                "ensemble",
                "conjunto",
                "divisione",
                "划分",
                "分組",
            ),
        }
    ),
}
"""What other people's tables call the columns, without signs."""

IN_OTHER_LANGUAGES = frozenset(
    {
        *("validierung", "entrainement", "entraînement", "entrenamiento", "validacion"),
        *("validación", "treino", "treinamento", "validacao", "validação", "addestramento"),
        *(
            "validazione",
            "teste",
            "prueba",
            "prova",
            "обучение",
            "валидация",
            "тест",
            "训练",
            "训练集",
        ),
        *(
            "验证",
            "验证集",
            "测试",
            "测试集",
            "訓練",
            "訓練集",
            "検証",
            "驗證",
            "テスト",
            "学習",
            "測試",
        ),
        *("학습", "훈련", "검증", "테스트", "trening", "träning"),
    }
)
"""Words for splits in which a column may say them, beside those that are read."""

AROUND = frozenset({"is", "in", "for", "set", "split", "data", "image", "images", "subset", "used"})
"""Words beside that of a split in the name of a column that says who is in it."""

MADE = frozenset({"fake", "generated", "synth", "real"})
"""Words of such a name that ask whether an image is synthetic."""

ANSWERS = frozenset(
    {"0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f", "x", ""}
)
"""What stands in such a column."""

FOLDS = re.compile(r"(?:cv|k|test|val)?[ _-]*folds?(?:[ _-]*(?:id|no|number|\d))?|split[ _-]*\d*")
"""The name of a column with the number of a part of the patients, as of a cross-validation."""

_MONTHS = "(?:jan|feb|m[aä]r|mrz|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]*"
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
DATE = re.compile(
    rf"(?:{_YEAR}([-/.]){_MONTH}\1{_DAY}"
    rf"|(?:{_DAY}([-/.]){_MONTH}\2|{_MONTH}([-/.]){_DAY}\3){_YEAR}"
    rf"|{_DAY}[-. ]+{_MONTHS}[-. ]+(?:19|20)?\d\d)"
    r"(?P<time>[ T](?:0?0:00(?::00(?:[.,]0+)?)?|12:00(?::00)? ?am)(?:Z|[+-]00:?00)?)?"
    r"(?P<hour>[ T][012]?\d:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?(?: ?[ap]m)?(?:Z|[+-]\d\d:?\d\d)?)?",
    re.IGNORECASE,
)
"""A day, which spreadsheets make of `3-12`, and the hour that other programs put behind it."""


MARKS = ";\t|，；"
"""What parts the columns of tables that spreadsheets of other countries write."""


def column_names(cells: Sequence[str]) -> list[str]:
    """Return the names of columns, in lower case and without marks of an encoding."""
    return [name.replace("\ufeff", "").strip().lower() for name in cells]


AGAIN = r"(?:\.{1,3}\d+|[._][xy]|_right|_duplicated_\d+)"
"""What pandas, R and polars put behind the name of a column that is there twice."""

SPELLINGS = {
    "path": re.compile(f"path{AGAIN}"),
    "patient_id": re.compile(rf"patient[\W_]*id(?:{AGAIN}|[\W_]*\d+)?"),
    "split": re.compile(f"split{AGAIN}"),
    "item": re.compile(f"item{AGAIN}"),
}
"""How the columns that are read are called beside themselves."""


def differing(header: Sequence[str], lines: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the first two columns of one meaning that do not say the same; () if there are none.

    >>> lines = [["a", "1", "01", "2"]]
    >>> differing(["path", "patient_id", "patient_id.1", "site"], lines)
    ()
    >>> differing(["path", "patient_id", "patient_id.1", "patientid"], lines)
    ('patient_id', 'patientid')
    """
    said = dict(zip(header, zip(*lines, strict=False), strict=False))
    for name, spelling in SPELLINGS.items():
        for other in said if name in said else ():
            if spelling.fullmatch(other) and any(
                normal_form(one) != normal_form(two)
                for one, two in zip(said[name], said[other], strict=True)
            ):
                return name, other
    return ()


def without_empty_columns(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Leave out columns at the end that have neither name nor cells, as spreadsheets write them."""
    header = lines[0][1] if lines else []
    named = max((n for n, name in enumerate(header, 1) if name.strip()), default=0)
    short = []
    for line, cells in lines:
        rest = [cell for cell in cells[named:] if cell.strip()]
        short.append((line, cells if rest else cells[:named]))
    return short


def parted_otherwise(header: Sequence[str]) -> list[str]:
    """Return the names of a table's columns that are parted by other signs than commas, else none.

    >>> parted_otherwise(["path;patient_id"]), parted_otherwise(["path", "notes; more"])
    (['path', 'patient_id'], [])
    >>> parted_otherwise(["path^patient_id^split"]), parted_otherwise(["path of images"])
    (['path', 'patient_id', 'split'], [])
    """
    if len(header) != 1:
        return []
    names, words = re.split(f"[{MARKS}]", header[0]), re.split(r"\W+", header[0])
    return names if len(names) > 1 else words if {"path", "patient_id"} <= {*words} else []


def renames(header: Sequence[str]) -> str:
    """Say which columns of somebody else's table are those that are needed."""
    if parted_otherwise(header):
        return " Separate the columns by commas."
    hints = []
    for column, others in NAMES.items():
        plain = {re.sub(r"[\W_]+", "", name): name for name in header}
        same = [plain[name] for name in plain if name in others]
        near = same or difflib.get_close_matches(column, header, n=1, cutoff=0.7)
        if near and column not in header and near[0].isprintable():
            hints.append(f"{near[0]!r} to '{column}'")
    said = f" Rename {' and '.join(hints)}." if hints else ""
    if "path" not in header and not any(hint.endswith("'path'") for hint in hints):
        said += (
            " Rename the one that names the files to 'path'; where the first line names no "
            "columns, put one above it that does: path,patient_id,split."
        )
    return said


def other_splits(
    header: Sequence[str], lines: Iterable[Sequence[str]], *, patients: bool = True
) -> list[str]:
    """Return the columns whose cells all say a split, two or more of them: a word, yes or no.

    Of synthetic images (`patients` is False) one split must be that of synthetic images: else it
    says of what they were made.

    >>> other_splits(["path", "subset", "view"], [["a", "train", "ap"], ["b", "Val", "ap"]])
    ['subset']
    """
    columns = zip(header, zip(*lines, strict=False), strict=False)
    return [
        n for n, cells in columns if _says_splits(n, {c.strip().lower() for c in cells}, patients)
    ]


def _says_splits(name: str, cells: set[str], patients: bool) -> bool:
    """Tell whether a column's cells are words of splits, or answers to what its name asks.

    >>> [_says_splits(name, {"0", "1"}, True) for name in ("is_train", "pcr_test", "fold", "x")]
    [True, False, True, False]
    """
    words = {*re.findall("[a-z]+", name)} - AROUND
    asked = {"synthetic" if word in MADE else split_of(word) for word in words}
    if asked == {"synthetic"} or (patients and asked and None not in asked):
        return len(cells) > 1 and cells <= ANSWERS
    numbers = all(re.fullmatch(r"(?:fold[ _-]?)?\d\d?(?:\.0)?", cell) for cell in cells)
    if patients and numbers and FOLDS.fullmatch(name):
        return len(cells) > 1
    foreign = cells & IN_OTHER_LANGUAGES
    found = {split_of(cell) for cell in cells - {"", *foreign}}
    if patients and foreign and None not in found:
        return len(foreign | found) > 1
    return len(found) > 1 and None not in found and (patients or "synthetic" in found)


def names_hour(name: str) -> bool:
    """Tell whether a name is a day and an hour, as examinations have them.

    >>> names_hour("2019-03-01 10:22:00"), names_hour("3/1/2019 8:05 PM"), names_hour("2019-03-01")
    (True, True, False)
    """
    found = DATE.fullmatch(name)
    return bool(found and found["hour"])


def made_days(names: Iterable[str]) -> list[str]:
    """Return the names that a spreadsheet made days of: others are none, or an hour is behind them.

    >>> made_days(["2012-03-12", "13-12"]), made_days(["2012-03-12", "2012-03-13"])
    (['2012-03-12'], [])
    >>> made_days(["12.03.2012", "3/12/2012", "12-Mar-2012", "2012-03-12 00:00:00", "12-34-5678"])
    ['12.03.2012', '3/12/2012', '12-Mar-2012', '2012-03-12 00:00:00']
    """
    found = {name: DATE.fullmatch(name) for name in names if not names_hour(name)}
    days = [name for name, match in found.items() if match]
    hours = [name for name in days if (match := found[name]) and match["time"]]
    return days if len(days) < len(found) else hours


def cut_numbers(names: Iterable[str]) -> list[str]:
    """Return the long numbers if a spreadsheet kept 15 digits of each, and there are two.

    >>> cut_numbers(["110101199003070000", "110101199003071000", "7"])
    ['110101199003070000', '110101199003071000']
    >>> cut_numbers(["110101199003070000", "110101199003071234"])
    []
    """
    long = [name for name in names if re.fullmatch(r"[1-9]\d{15,}(?:\.0)?", name)]
    cut = [name for name in long if not name.split(".")[0][15:].strip("0")]
    return cut if len(cut) == len(long) > 1 else []
