"""The split that a data set brings: in the names of its folders, or in lists beside its images."""

from __future__ import annotations

import codecs
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from memtk.data.manifest import Row, few
from memtk.data.patients import split_of
from memtk.errors import UserError, many, printable, some
from memtk.files import read_plain

TEST_LIST = "test_list.txt"
"""Beside images, the names of those that are held out, one a line, as NIH ChestX-ray14 has it."""

REST_LIST = "train_val_list.txt"
"""The names of the others, in the same data set."""

AROUND = re.compile(
    r"[\s_-]+|\b(?:images?|imgs?|data|dataset|sets?|split|scans?|slices)(?=[\s_-]|$)"
)
"""What the names of folders have around the word of a split: `val-images`, `training_set`."""


ALSO = {"dev": "val", **dict.fromkeys(("fake", "fakes", "generated", "synth"), "synthetic")}
"""Further words for a split in the names of folders."""


OTHERS = frozenset(
    {
        *("tr", "va", "trn", "vld", "tst", "fold", "folds", "unseen", "trainval", "development"),
        *("entrenamiento", "validacion", "validación", "treino", "validacao", "validação"),
        *("entrainement", "entraînement", "addestramento", "validierung", "trainieren"),
        *("训练", "训练集", "验证", "验证集", "訓練", "検証"),
    }
)
"""Words for splits that are said and not taken for them: in short, and in other languages."""


REST = "not held out"
"""What a folder means whose patients are split into training and validation."""

BOTH = re.compile(r"train(?:ing)?_?(?:and|\+|&)?_?val(?:id|idation)?|development")
"""A folder of both, beside one of test images: `trainval`."""


def folder_split(name: str) -> str:
    """Return the group that a folder's name means, "" if none.

    >>> [folder_split(n) for n in ("Train", "training_set", "val-images", "dev", "trainset")]
    ['training', 'training', 'validation', 'validation', 'training']
    >>> [folder_split(n) for n in ("images test", "train2017", "held_out", "retest", "test_pos")]
    ['held_out', 'training', 'held_out', '', '']
    >>> [folder_split(n) for n in ("trainA", "testB", "testa", "A")]
    ['training', 'held_out', '', '']
    """
    word = _split_word(re.sub(r"(?<=[a-z])[AB]$", "", name))  # two kinds of images: trainA, trainB
    return split_of(ALSO.get(word, word)) or ""


def _split_word(name: str) -> str:
    words = AROUND.sub(" ", name.lower().replace("_", " ")).split()
    return re.sub(r"(?<=[a-z])(?:set|20\d\d)$", "", "_".join(words))


def split_by_folders(
    rows: Sequence[Row], folder: Path, notes: list[str], *, patients: bool, resplit: bool
) -> tuple[list[Row], bool]:
    """Take the split that the names of folders say, directly below `folder` or one deeper.

    Images outside folders of splits are left out, and counted. One folder deeper the names are
    taken only where there are several splits, for a patient may have a folder `test`.

    Args:
        notes: gets what the user should read.
        patients: False for synthetic images: only folders named so say anything.
        resplit: whether the split is not used.

    Returns:
        The rows, and whether folders say their split.

    Raises:
        UserError: if the folders one deeper hold only a part of the images.
    """
    found = _folders(rows, folder, 1)
    if not patients:  # they lie in folders as their generator's user likes
        found = [(name, split if split == "synthetic" else "") for name, split in found]
    subfolders = sorted({printable(name) for name, split in found if split})
    pairs = list(zip(rows, found, strict=True))
    if {split for _, split in found} - {"", "synthetic"}:
        kept = [_in_split(row, split) for row, (_, split) in pairs if split]
        if outside := len(rows) - len(kept):
            notes.append(f"left out, {many(outside, 'image')} outside {', '.join(subfolders)}")
        return kept, True
    # real images may lie beside synthetic ones
    rows = [replace(row, split=split) if split else row for row, (_, split) in pairs]
    if not patients:
        return rows, bool(subfolders)
    rows, by_folders = _split_deeper(rows, folder, notes, resplit)
    if not (by_folders or resplit):
        rows, by_folders = _split_by_names(rows, notes)
    if not (by_folders or resplit) and (like := _like_splits(rows, folder)):
        notes.append(
            f"folders are named like splits and taken for none: {few(like)}. If they are, call "
            "them train, val and test, or say the split in a manifest (path,patient_id,split)"
        )
    return rows, by_folders


def _split_by_names(rows: list[Row], notes: list[str]) -> tuple[list[Row], bool]:
    """Take the split of which the names of all files have one word: `train0_1`, `21_test`.

    Where those of some alone do so nothing is taken, and it is said.
    """
    words = [[w.lower() for w in _words(row.record.path.stem)] for row in rows]
    said = [{word: split for word in each if (split := folder_split(word))} for each in words]
    splits = [next(iter(each.values())) if len(each) == 1 else "" for each in said]
    if any(row.split for row in rows) or not {"training"} < {*splits} - {""}:
        return rows, False
    named = few(sorted({word for each in said for word in each}))
    if all(splits):
        notes.append(f"the names of the files say the split: {named}")
        return [replace(row, split=s) for row, s in zip(rows, splits, strict=True)], True
    notes.append(
        f"{some(len([*filter(None, splits)]), len(rows), 'file', 'is/are')} named like splits "
        f"({named}) and taken for none. If they are, put them into folders train, val and "
        "test, or say the split in a manifest (path,patient_id,split)"
    )
    return rows, False


def _like_splits(rows: Sequence[Row], folder: Path) -> list[str]:
    """Return the folders that hold images and have a word for training or validation in them."""
    names = {part for row in rows for part in row.record.path.relative_to(folder).parts[:-1]}
    asked = {"training", "validation"}
    said = {n for n in names if asked & {*map(folder_split, _words(n))}}
    others = {n for n in names if OTHERS & {*map(str.lower, _words(n))}}
    return sorted(map(printable, said | others if said or len(others) > 1 else said))


def _words(name: str) -> list[str]:
    """Return words and numbers of a folder's name: `a. trainSet_1` is train, set, 1."""
    name = re.sub(r"^\w{1,2}[.)]\s*|(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+|\d+", name)


def _split_deeper(
    rows: list[Row], folder: Path, notes: list[str], resplit: bool
) -> tuple[list[Row], bool]:
    found = _folders(rows, folder, 2)
    real = [each for row, each in zip(rows, found, strict=True) if row.split != "synthetic"]
    if resplit or len({split for _, split in real if split}) < 2:
        return rows, False
    named = few(sorted({printable(name) for name, split in real if split}))
    if outside := sum(not split for _, split in real):
        raise UserError(
            f"{some(len(real) - outside, len(real), 'image')} of {folder} lie in folders that are "
            f"named as splits ({named}), {outside} do not.\nTake them out, or say the split in a "
            "manifest (path,patient_id,split), or --set data.resplit=true"
        )
    notes.append(f"the folders say the split: {named}")
    pairs = zip(rows, found, strict=True)
    return [row if row.split == "synthetic" else _in_split(row, s) for row, (_, s) in pairs], True


def _in_split(row: Row, split: str) -> Row:
    return replace(row, split="" if split == REST else split)


def _folders(rows: Sequence[Row], folder: Path, depth: int) -> list[tuple[str, str]]:
    """Return of each row the path of its folder so deep below `folder`, and its split or `REST`."""
    names = []
    for row in rows:
        parts = row.record.path.relative_to(folder).parts
        names.append("/".join(parts[:depth]) if len(parts) >= depth else "")
    splits = {name: folder_split(PurePosixPath(name).name) for name in {*names}}
    if {*splits.values()} - {"", "synthetic"} == {"held_out"}:
        both = (name for name in splits if BOTH.fullmatch(_split_word(PurePosixPath(name).name)))
        splits |= dict.fromkeys(both, REST)
    if not {*splits.values()} - {"", "synthetic"}:
        splits |= _told_apart({name for name, split in splits.items() if not split})
    splits = {name: split for name, split in splits.items() if split and (folder / name).is_dir()}
    return [(name, splits.get(name, "")) for name in names]


def _told_apart(folders: Iterable[str]) -> dict[str, str]:
    """Return the splits of folders beside one another that differ in nothing but the word of one.

    None, unless that are all of them.

    >>> _told_apart(["stage_2_train_images", "stage_2_test_images"])
    {'stage_2_train_images': 'training', 'stage_2_test_images': 'held_out'}
    >>> _told_apart(["b. Testing Set", "a. Training Set"]), _told_apart(["p1_test", "p2_train"])
    ({'b. Testing Set': 'held_out', 'a. Training Set': 'training'}, {})
    """
    splits: dict[str, str] = {}
    kinds: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for folder in folders:
        path = PurePosixPath(folder)
        words = _words(path.name)
        means = [folder_split(word) for word in words]
        if len([*filter(None, means)]) != 1:
            return {}
        splits[folder] = "".join(means)
        at = next(n for n, split in enumerate(means) if split)
        end = at + 1 + (words[at + 1 :][:1] != [] and words[at + 1].isdecimal())  # train_1, val_2
        rest = [word.lower() for word in words[:at] + words[end:]]
        kinds[(str(path.parent), *rest)].add(splits[folder])
    return splits if all(len(found) > 1 for found in kinds.values()) else {}


def split_by_lists(
    rows: Sequence[Row], folder: Path, split_by_folders: bool, notes: list[str]
) -> list[Row]:
    """Hold out the images of `test_list.txt`, in `folder` or above it; the others stay as they are.

    Names are compared without folders and suffixes: pictures are converted, and lists hold paths.
    Where only the list of the other images is there, those that it does not name are held out.
    """
    real = [row for row in rows if row.split != "synthetic"]
    stems = {row.record.path.stem for row in real}
    for path, name in _lists(folder):
        lines = _lines(path)  # some have labels behind the name
        said = [{PurePosixPath(text).stem for text in (line, line.split()[0])} for line in lines]
        listed = stems & {*chain.from_iterable(said)}
        if split_by_folders or not listed:
            why = "the folders say the split" if split_by_folders else "it names none of the images"
            notes.append(f"{name} is not used: {why}")
            continue
        test = path.name.lower() == TEST_LIST
        held_out = {id(row) for row in real if (row.record.path.stem in listed) is test}
        of = "of" if test else "that are not in"
        notes.append(f"held out, {many(len(held_out), 'image')} {of} {name}")
        if lost := sum(names.isdisjoint(listed) for names in said):
            notes.append(
                f"{lost} of the {many(len(said), 'name')} in {name} are those of no image here"
            )
        split = {id(row): "held_out" if id(row) in held_out else "" for row in real}
        return [replace(row, split=split.get(id(row), row.split)) for row in rows]
    return list(rows)


def other_lists(files: Iterable[Path]) -> list[str]:
    """Say which files may name the images of splits, by their names, and are not read.

    >>> other_lists(map(Path, ("train.txt", "a/val_list.csv", "splits_final.json", "train.log")))
    ['left alone, though they may say a split: train.txt, val_list.csv, splits_final.json: say \
it in a manifest (path,patient_id,split)']
    """
    names = []
    for path in files:
        stem = re.sub(r"[\s_-]*(?:lists?|files?|names|ids|paths?)$", "", path.stem.lower())
        says = folder_split(stem) or re.search(r"(?:^|[\W_])(?:split|fold)s?(?:$|[\W_])", stem)
        if says and path.suffix.lower() in {".txt", ".csv", ".tsv", ".json", ".lst"}:
            names.append(printable(path.name))
    return [
        f"left alone, though they may say a split: {few(names)}: say it in a manifest "
        "(path,patient_id,split)"
    ][: bool(names)]


def _lists(folder: Path) -> list[tuple[Path, str]]:
    """Return the lists in a folder, then those above it, and the name of each in messages."""
    found = []
    above = Path(os.path.abspath(folder)).parent
    for place, before in ((folder, ""), (above, "../")):
        try:
            names = sorted(os.listdir(place))
        except OSError:  # what lies above need not be open to all
            continue
        for asked in (TEST_LIST, REST_LIST):
            there = [n for n in names if n.lower() == asked and (place / n).is_file()]
            found += [(place / name, before + name) for name in there]
    return found


def _lines(path: Path) -> list[str]:
    """Return what a list names, one a line, in UTF-8 or as Windows writes it (UTF-16)."""
    content = read_plain(path)
    wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    return [line.strip().replace("\\", "/") for line in text.splitlines() if line.strip()]
