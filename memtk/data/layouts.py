"""Turns a folder, or one file with many images, into a manifest. Some public layouts are known."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from memtk.data.config import PHANTOMS, DataConfig
from memtk.data.manifest import Manifest, Row, few, patient_in, read_manifest
from memtk.data.public.catalogue import locate
from memtk.data.readers import Readers
from memtk.data.splits import split_of
from memtk.errors import UserError, did_you_mean
from memtk.interfaces import Record

NIH = r"^(\d{8})_\d{3}\.png$"
"""File names of NIH ChestX-ray14: patient number, image number."""

PLANE = "sagittal"
"""The plane that the reference method uses, of three."""

_HIPPOCAMPUS = re.compile(r"^hippocampus_(\d+)\.nii(?:\.gz)?$")


def read_source(
    source: str, config: DataConfig, readers: Readers, *, patients: bool = True
) -> Manifest:
    """List the images of a source: a manifest CSV, a folder, or a file with many images.

    A folder with a `manifest.csv` is read by that. Otherwise its images are split by subfolders
    `train`, `val`, `test`, `synthetic` if there are any; the Medical Segmentation Decathlon
    (`imagesTr`, `dataset.json`), NIH ChestX-ray14 (file names, `train_val_list.txt`,
    `test_list.txt`) and MRNet (`train/sagittal`, `valid/sagittal`) are known. Files and folders
    whose name starts with a dot are left out.

    Args:
        source: where they lie; `public:NAME` for a public data set that memtk has fetched.
        config: how patients are found.
        readers: of all formats.
        patients: False for synthetic images: whose they are is not asked, and each row's patient
            is "".

    Raises:
        UserError: if there is no such source or no image in it, or a file cannot be listed.
    """
    path = Path(locate(source)).expanduser()
    if not path.exists():
        raise UserError(f"{source}: there is no such file or folder.{_guess(source)}")
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return read_manifest(path, config, readers, patients=patients)
        rows = [_row_of_item(record) for record in readers.records(path)]
        return _with_patients(rows, path.parent, config, [], patients)
    if (path / "manifest.csv").is_file():
        manifest = read_manifest(path / "manifest.csv", config, readers, patients=patients)
        return replace(manifest, notes=(f"{path} is read by its manifest.csv", *manifest.notes))
    return _read_folder(path, config, readers, patients)


def _guess(source: str) -> str:
    near = did_you_mean(source, PHANTOMS)
    return near or " Give a manifest (path,patient_id,split), a folder, an .npz or .h5 file."


def _read_folder(folder: Path, config: DataConfig, readers: Readers, patients: bool) -> Manifest:
    notes: list[str] = []
    if patients and _is_mrnet(folder):
        return _read_mrnet(folder, readers, notes)
    decathlon = (folder / "imagesTr").is_dir() and (folder / "dataset.json").is_file()
    top = folder / "imagesTr" if decathlon else folder
    records = _walk(top, readers, notes)
    if decathlon:
        notes.append(f"Medical Segmentation Decathlon: {len(records)} images of imagesTr are used")
    if not records:
        raise UserError(
            f"{folder} has no images in it: there are readers for {', '.join(readers.suffixes)}"
        )
    rows = [_row_of_item(record) for record in records]
    if patients and decathlon and config.patient_pattern is None and _is_hippocampus(folder):
        notes.append(
            "Decathlon's hippocampus: files 2k-1 and 2k are taken as the two sides of one patient"
        )
        whose = [replace(row, patient=_hippocampus_patient(row.record.path)) for row in rows]
        return Manifest(tuple(whose), tuple(notes))
    subfolders = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and split_of(p.name)]
    if not patients:  # synthetic images lie in folders as their generator's user likes
        subfolders = [name for name in subfolders if split_of(name) == "synthetic"]
    if subfolders and not decathlon:
        rows = _split_by_folder(rows, folder, subfolders, notes)
    nih = patients and config.patient_pattern is None
    if nih and all(re.match(NIH, r.record.path.name) for r in rows):
        notes.append("NIH ChestX-ray14: the patient is read from the file names")
        if not subfolders:
            rows = _split_by_lists(rows, folder, notes)
        config = config.model_copy(update={"patient_pattern": NIH})
    return _with_patients(rows, folder, config, notes, patients)


def _read_mrnet(folder: Path, readers: Readers, notes: list[str]) -> Manifest:
    """List the exams of MRNet: one plane; its own validation exams are held out."""
    notes.append(
        f"MRNet: the {PLANE} plane is used; valid/ is held out. It does not say whose an exam is: "
        "each counts as a patient"
    )
    rows = []
    for part, split in (("train", ""), ("valid", "held_out")):
        for record in _walk(folder / part / PLANE, readers, notes):
            rows.append(Row(record, patient=record.path.stem, split=split))
    return Manifest(tuple(rows), tuple(notes), named=False)


def _walk(top: Path, readers: Readers, notes: list[str]) -> list[Record]:
    """List the images below `top`; one folder of slices is one image."""
    records: list[Record] = []
    problems: list[str] = []
    unknown: Counter[str] = Counter()

    def lost(error: OSError) -> None:
        problems.append(f"cannot read {error.filename}: {error.strerror}")

    for place, folders, names in os.walk(top, onerror=lost):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files = [Path(place, n) for n in sorted(names) if not n.startswith(".")]
        known = [f for f in files if readers.knows(f)]
        slices = [f for f in known if readers.is_slice(f)]
        images = [f for f in known if f not in set(slices)]
        series = [Path(place)] if slices or (files and not known) else []
        for path in [*images, *series]:
            try:
                records += readers.records(path)
            except UserError as error:
                if path.is_file() or slices:
                    problems.append(str(error))
                else:  # a folder without a single image: its files are counted below
                    series = []
        if not series or slices:
            unknown.update(f.suffix or f.name for f in files if f not in set(known))
    if problems:
        raise UserError(f"{len(problems)} files cannot be listed:\n" + few(problems, "\n"))
    if unknown and records:
        kinds = few([f"{count} {suffix}" for suffix, count in sorted(unknown.items())])
        notes.append(f"{unknown.total()} files are no images and are left out: {kinds}")
    return records


def _row_of_item(record: Record) -> Row:
    """Read the split out of the array's name: MedMNIST's `train_images/12` is a training image."""
    name = record.item.rpartition("/")[0].removesuffix("_images")
    return Row(record, split=split_of(name) or "")


def _split_by_folder(
    rows: Sequence[Row], folder: Path, subfolders: Sequence[str], notes: list[str]
) -> list[Row]:
    kept, outside = [], 0
    for row in rows:
        part = row.record.path.relative_to(folder).parts[0]
        if part in subfolders:
            kept.append(replace(row, split=split_of(part) or ""))
        elif set(subfolders) <= {"synthetic"}:
            kept.append(row)  # real images beside synthetic ones
        else:
            outside += 1
    if outside:
        notes.append(f"{outside} images outside {', '.join(subfolders)} are left out")
    return kept


def _split_by_lists(rows: Sequence[Row], folder: Path, notes: list[str]) -> list[Row]:
    """Hold out the patients of `test_list.txt`; the others are split later, by patient."""
    listing = folder / "test_list.txt"
    if not listing.is_file():
        return list(rows)
    held_out = set(listing.read_text(encoding="utf-8", errors="replace").split())
    rows = [replace(r, split="held_out" if r.record.path.name in held_out else "") for r in rows]
    count = sum(r.split == "held_out" for r in rows)
    notes.append(f"{count} images of test_list.txt are held out")
    return rows


def _with_patients(
    rows: Iterable[Row], folder: Path, config: DataConfig, notes: list[str], patients: bool
) -> Manifest:
    rows = list(rows)
    if not patients:
        return Manifest(tuple(rows), tuple(notes), named=False)
    pattern = config.patient_pattern
    if pattern is None:
        notes.append(
            f"nothing says whose the images are: each of the {len(rows)} counts as a patient of "
            "its own. If a patient has several, say --set data.patient_pattern=REGEX or give a "
            "manifest"
        )
        named = [replace(row, patient=_own_name(row, folder)) for row in rows]
        return Manifest(tuple(named), tuple(notes), named=False)
    named = [
        replace(row, patient=patient_in(pattern, row.record.path, folder) or "") for row in rows
    ]
    lost = [row.record.path.name for row in named if not row.patient]
    if lost:
        raise UserError(
            f"data.patient_pattern = {pattern} finds no patient in {len(lost)} of {len(rows)} "
            f"names: {few(lost)}"
        )
    return Manifest(tuple(named), tuple(notes))


def _own_name(row: Row, folder: Path) -> str:
    path = row.record.path
    text = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return f"{text}:{row.record.item}" if row.record.item else text


def _is_mrnet(folder: Path) -> bool:
    """Tell whether a folder is an unpacked MRNet-v1.0."""
    return all((folder / part / PLANE).is_dir() for part in ("train", "valid"))


def _is_hippocampus(folder: Path) -> bool:
    """Tell whether an unpacked task of the Decathlon is this one, by its `dataset.json`."""
    try:
        said = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and str(said.get("name", "")).strip().lower() == "hippocampus"


def _hippocampus_patient(path: Path) -> str:
    """Return the patient of a file, "" if its name is not one of these.

    >>> [_hippocampus_patient(Path(f"hippocampus_{n}.nii.gz")) for n in ("003", "004", "005")]
    ['H002', 'H002', 'H003']
    """
    found = _HIPPOCAMPUS.match(path.name)
    return f"H{(int(found.group(1)) + 1) // 2:03d}" if found else ""
