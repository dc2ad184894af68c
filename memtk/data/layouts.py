"""Turns a folder, or one file with many images, into a manifest. Some public layouts are known.

A layout is recognised whole or not at all: where some names fit and others do not, the images that
do not fit are left out and named if they are few; else nothing is guessed.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from memtk.data.config import PHANTOMS, DataConfig
from memtk.data.file_names import (
    BIDS,
    CASE,
    HIPPOCAMPUS,
    NAMED,
    NIH,
    NNUNET,
    SESSIONS,
    Layout,
    below,
    names_patients,
    names_sessions,
)
from memtk.data.formats import LISTS
from memtk.data.hints import made_of_others, way_to_patients
from memtk.data.labels import LABELS
from memtk.data.manifest import Manifest, Row, few, is_manifest, read_manifest
from memtk.data.official_split import other_lists, split_by_folders, split_by_lists
from memtk.data.patients import SPLITS, from_header, split_of
from memtk.data.pattern import patients_in
from memtk.data.public.catalogue import locate
from memtk.data.readers import Readers, check_regular
from memtk.data.walk import Walk, printable, walk
from memtk.errors import UserError, did_you_mean, many, some
from memtk.files import read_plain
from memtk.interfaces import Record

PLANE = "sagittal"
"""The plane of MRNet that the reference method uses, of three."""

STRAY = 0.1
"""Up to this share of images whose names do not fit a layout are left out, and named; with more of
them nothing is guessed."""

MOST_CHANNELS = 8
"""Outside nnU-Net's folders names with higher numbers are those of images, not of channels."""


def read_source(
    source: str, config: DataConfig, readers: Readers, *, patients: bool = True
) -> Manifest:
    """List the images of a source: a manifest CSV, a folder, or a file with many images.

    A folder with a `manifest.csv` is read by that. Otherwise its images are split by
    folders `train`, `val`, `test`, `synthetic` (or `training_set`, `val-images`, `dev`) in it or
    one deeper, or by `test_list.txt` in it or above it; the names of NIH ChestX-ray14, BIDS,
    nnU-Net, the Medical Segmentation Decathlon (`imagesTr`) and others (`file_names`), and the
    folders of MRNet (`train/sagittal`, `valid/sagittal`) are known. Where no name says whose an
    image is, its header is asked (DICOM's PatientID). Label maps, known by their names, are
    left out, and so is what begins with a dot; every file that is not used is counted in the
    notes.

    Args:
        source: where they lie; `public:NAME` for a public data set that memtk has fetched.
        config: how patients are found.
        readers: of all formats.
        patients: False for synthetic images: whose they are is not asked, and each row's patient
            is "".

    Raises:
        UserError: if there is no such source or no image in it, a file cannot be listed, or a part
            of the names alone fits a known layout.
    """
    path = Path(locate(source)).expanduser()
    try:
        source.encode()
        there = path.exists()
    except UnicodeEncodeError as error:
        raise UserError(f"{printable(source)}: its name is not in UTF-8, rename it") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{source[:100]}: there is no such file or folder: {error}") from error
    if not there:
        raise UserError(f"{source}: there is no such file or folder.{_guess(source)}")
    check_regular(path)
    try:
        return _read_path(path, config, readers, patients)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _read_path(path: Path, config: DataConfig, readers: Readers, patients: bool) -> Manifest:
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return read_manifest(path, config, readers, patients=patients)
        found = Walk(records=list(readers.records(path)))
        found.take_left_out(path.parent, keep_labels=config.labels == "keep")
        notes = found.notes()
        notes += _axes_taken(found.records, readers)
        return _with_patients(_rows(found, path), path.parent, config, notes, patients)
    notes = []
    if (path / "manifest.csv").is_file():
        if is_manifest(path / "manifest.csv"):
            manifest = read_manifest(path / "manifest.csv", config, readers, patients=patients)
            return replace(manifest, notes=(f"{path} is read by its manifest.csv", *manifest.notes))
        notes.append("manifest.csv has no column 'path' and is not used: the folder is read")
    return _read_folder(path, config, readers, patients, notes)


def _axes_taken(records: Sequence[Record], readers: Readers) -> list[str]:
    """Say how the axes of the first array are read, which have no names, and how to say otherwise.

    Of pictures in rows whose two sides are equal, or in colour, no axis is in doubt.
    """
    arrays = [r for r in records if r.path.name.lower().endswith((".npy", ".npz", ".h5", ".hdf5"))]
    try:
        channels, *shape = readers.read(arrays[0]).voxels.shape if arrays else (0,)
    except UserError:  # the checks say it
        return []
    name, size = printable(arrays[0].path.name) if arrays else "", " x ".join(map(str, shape))
    if arrays and re.search(r"/\d+$", arrays[0].item):
        lines = f"{name} holds an image of {size} in each row of its array: if the last axis counts"
        told = channels > 1 or shape[-2] == shape[-1]
        return [] if told else [f"{lines} the images, np.moveaxis(array, -1, 0)"]
    if not arrays or (len(arrays) > 1 and len(shape) < 3):
        return []
    return [
        f"{name} counts as one image, of {size}: if many are in its array, call that images, with "
        "the axis first that counts them: np.savez('a.npz', images=array)"
    ]


def _guess(source: str) -> str:
    if re.match(r"[a-z][a-z0-9+]+://", source):
        return " It is an address: fetch the files, and name them here."
    near = did_you_mean(source, PHANTOMS)
    return near or " Give a manifest (path,patient_id,split), a folder, an .npz or .h5 file."


def _rows(found: Walk, path: Path, readers: Readers | None = None) -> list[Row]:
    """Return a row of each image.

    Raises:
        UserError: if there is none, saying what there is instead.
    """
    if found.records:
        return [_row_of_item(record) for record in found.records]
    instead = "; ".join(found.notes())
    unknown = [p for p in found.unknown if not p.name.lower().endswith(LISTS)]
    way_out = readers.way_out([*unknown, path]) if readers else ""
    if LABELS in found.left_out and not unknown:
        way_out = "if they are images after all, say --set data.labels=keep"
    raise UserError(
        f"{path} has no images in it"
        + (f": {way_out.rstrip('.')}" if way_out and way_out not in instead else "")
        + (f".\nIn it: {instead}" if instead else "")
    )


def _read_folder(
    folder: Path, config: DataConfig, readers: Readers, patients: bool, notes: list[str]
) -> Manifest:
    if patients and _is_mrnet(folder):
        return _read_mrnet(folder, config, readers, notes)
    top = folder / "imagesTr" if (folder / "imagesTr").is_dir() else folder
    found = walk(top, readers, keep_labels=config.labels == "keep")
    notes += found.notes()
    rows = _rows(found, folder, readers)
    notes += _axes_taken(found.records, readers)
    decathlon = top != folder
    if decathlon:
        notes.append(
            f"Medical Segmentation Decathlon: {many(len(rows), 'image')} of imagesTr are used"
        )
        notes += _beside(folder, "imagesTr")
    by_folders = False
    if not decathlon:
        rows, by_folders = split_by_folders(
            rows, folder, notes, patients=patients, resplit=config.resplit
        )
    if patients:
        rows = split_by_lists(rows, folder, by_folders, notes)
        if not any(row.split in SPLITS for row in rows):
            notes += other_lists(found.unknown)
    real = [row for row in rows if row.split != "synthetic"]
    names, named = [_below(row, folder) for row in real], list[Layout]()
    if not any(row.record.patient for row in real):  # else headers say it
        named += [NAMED] if names_patients(names) else [SESSIONS] if names_sessions(names) else []
    layouts = [BIDS, NIH, *([NNUNET] if _are_channels(real, folder) else []), *named]
    if decathlon or folder.name in {"imagesTr", "imagesTs"}:
        channels = [NNUNET] if _may_be_channels(names) else []
        layouts = [HIPPOCAMPUS] if _is_hippocampus(folder) else [BIDS, *channels, *named]
    return _with_patients(rows, folder, config, notes, patients, layouts)


def _read_mrnet(folder: Path, config: DataConfig, readers: Readers, notes: list[str]) -> Manifest:
    """List the exams of MRNet: one plane; its own validation exams are held out."""
    notes.append(
        f"MRNet: the {PLANE} plane is used; valid/ is held out. It does not say whose an exam is: "
        "each counts as a patient"
    )
    rows = []
    for part, split in (("train", ""), ("valid", "held_out")):
        found = walk(folder / part / PLANE, readers, keep_labels=config.labels == "keep")
        notes += found.notes()
        rows += [Row(r, patient=r.path.stem, split=split) for r in found.records]
        notes += _beside(folder, f"{part}/{PLANE}")
    notes += _beside(folder, "train", "valid")
    return Manifest(tuple(rows), tuple(notes), named=False)


def _beside(folder: Path, *used: str) -> list[str]:
    """Count every file beside those folders below `folder` that are used."""
    total, said = 0, []
    for path in sorted((folder / used[0]).parent.iterdir(), key=lambda p: (not p.is_dir(), p.name)):
        if path not in {folder / name for name in used}:
            within = sum(len(names) for _, _, names in os.walk(path))
            said.append(
                printable(path.name) + (f": {many(within, 'file')}" if path.is_dir() else "")
            )
            total += within if path.is_dir() else 1
    return (
        [f"left out, {many(total, 'file')} beside {' and '.join(used)}: {few(said)}"]
        if said
        else []
    )


def _may_be_channels(names: Sequence[str]) -> bool:
    """Tell whether the numbers in names are of channels, and not of cases: amos_0001, amos_0002."""
    found = [case for name in names if (case := CASE.search(name))]
    cases, channels = {case[1] for case in found}, {int(case[2]) for case in found}
    return 0 in channels and len(channels) <= max(len(cases), MOST_CHANNELS)


def _are_channels(rows: Sequence[Row], folder: Path) -> bool:
    """Tell whether images are the channels of several cases by their names, and name no patient."""
    found = [(row.split, CASE.search(_below(row, folder))) for row in rows]
    named = [(split, name[1], int(name[2])) for split, name in found if name]
    return (
        len(named) >= (1 - STRAY) * len(rows)
        and len({*named}) == len(named)  # else a folder is a case, and the names its sequences
        and any(channel == 0 for _, _, channel in named)
        and len({case for _, case, _ in named}) > 1
        and all(channel < MOST_CHANNELS for _, _, channel in named)
        and not any(row.record.patient for row in rows)
    )


def _row_of_item(record: Record) -> Row:
    """Read the split out of the array's name: MedMNIST's `train_images/12` is a training image."""
    name = record.item.rpartition("/")[0].removesuffix("_images")
    return Row(record, split=split_of(name) or "")


def _with_patients(
    rows: Sequence[Row],
    folder: Path,
    config: DataConfig,
    notes: list[str],
    patients: bool,
    layouts: Sequence[Layout] = (),
) -> Manifest:
    """Find whose each image is: by the pattern, by the names of a layout, or by its header.

    Synthetic images are nobody's.
    """
    real = [row for row in rows if patients and row.split != "synthetic"]
    if not real:
        return Manifest(tuple(rows), tuple(notes), named=False)
    if len(real) < len(rows):
        synthetic = [row for row in rows if row.split == "synthetic"]
        others = _with_patients(real, folder, config, notes, patients, layouts)
        return replace(others, rows=(*others.rows, *synthetic))
    if config.patient_pattern is not None:
        return _by_pattern(rows, folder, config.patient_pattern, notes)
    names = [_below(row, folder) for row in rows]
    for layout in layouts:
        found = [*map(layout.patient, names)]
        odd = [name for name, whose in zip(names, found, strict=True) if not whose]
        if len(odd) <= STRAY * len(rows):
            notes.append(f"{layout.name}: {layout.note}" + _several_kinds(rows, layout))
            if odd:
                notes.append(
                    f"{many(len(odd), 'image', 'is/are')} not named so, left out: {few(odd)}"
                )
            fit = [(row, name) for row, name in zip(rows, found, strict=True) if name]
            return _named([row for row, _ in fit], [name for _, name in fit], notes)
        if len(rows) - len(odd) > STRAY * len(rows):
            raise UserError(
                f"{some(len(rows) - len(odd), len(rows), 'image')} of {folder} are named as "
                "those of "
                f"{layout.name}, {len(odd)} are not: {few(odd)}.\nTake them out, or say whose the "
                "images are: --set data.patient_pattern=REGEX, or a manifest"
            )
    found = [from_header(row.record.patient) for row in rows]
    if all(found):
        return _by_header(rows, found, notes)
    if any(found):
        odd = [name for name, whose in zip(names, found, strict=True) if not whose]
        raise UserError(
            f"{some(len(rows) - len(odd), len(rows), 'image')} of {folder} say whose they are "
            f"(PatientID or the like), {len(odd)} do not: {few(odd)}.\nTake them out, or say whose "
            "the images are: --set data.patient_pattern=REGEX, or a manifest"
        )
    notes.append(
        f"nothing says whose the images are: each of the {len(rows)} counts as a patient of "
        "its own. If a patient has several, say --set data.patient_pattern=REGEX or give a "
        "manifest" + way_to_patients(rows, folder)
    )
    if made := made_of_others(rows):
        notes.append(
            f"{many(len(made), 'image', 'is/are')} named as made of others beside them, "
            f"{few(made)}: these may lie in two splits, so take them out or say whose they are"
        )
    return replace(_named(rows, names, notes), named=False)


def _several_kinds(rows: Sequence[Row], layout: Layout) -> str:
    """Say of which kinds the images of BIDS are, by their names: T1w, part-phase_T2w, phasediff."""
    names = [row.record.path.name.partition(".")[0] for row in rows]
    kinds = Counter(re.sub(r"(?i)(?:sub|ses|run)-[a-z0-9]+_", "", name) for name in names)
    if layout is not BIDS or len(kinds) < 2:
        return ""
    said = few([f"{count} {printable(kind)}" for kind, count in kinds.most_common()])
    return f". Images of all kinds are used, {said}: of one kind alone give a manifest"


def _by_pattern(rows: Sequence[Row], folder: Path, pattern: str, notes: list[str]) -> Manifest:
    found = patients_in(pattern, [row.record.path for row in rows], folder)
    lost = [r.record.path.name for r, name in zip(rows, found, strict=True) if not name]
    if lost:
        raise UserError(
            f"data.patient_pattern = {pattern} finds no patient in {len(lost)} of {len(rows)} "
            f"names: {few(lost)}"
        )
    return _named(rows, found, notes)


def _by_header(rows: Sequence[Row], found: Sequence[str], notes: list[str]) -> Manifest:
    count = len(set(found))
    notes.append(
        "the patient is read from each file (PatientID or the like), and shown as a code: "
        f"{many(count, 'patient')}"
    )
    if count == 1 < len(rows):
        notes.append(
            "all files name the same patient: if a number was put in the place of all of them, say "
            "--set data.patient_pattern=REGEX or give a manifest"
        )
    return _named(rows, found, notes)


def _named(rows: Sequence[Row], patients: Sequence[str], notes: Sequence[str]) -> Manifest:
    named = [replace(row, patient=name) for row, name in zip(rows, patients, strict=True)]
    return Manifest(tuple(named), tuple(notes))


def _below(row: Row, folder: Path) -> str:
    """Return the name of an image below a folder."""
    text = below(row.record.path, folder)
    return f"{text}:{row.record.item}" if row.record.item else text


def _is_mrnet(folder: Path) -> bool:
    """Tell whether a folder is an unpacked MRNet-v1.0."""
    return all((folder / part / PLANE).is_dir() for part in ("train", "valid"))


def _is_hippocampus(folder: Path) -> bool:
    """Tell whether an unpacked task of the Decathlon is this one, by its `dataset.json`."""
    try:
        said = json.loads(read_plain(folder / "dataset.json"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and str(said.get("name", "")).strip().lower() == "hippocampus"
