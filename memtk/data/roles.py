"""Which images play which role: the source of each group, the split of each patient, the limits."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from memtk.data.arrays import held_in
from memtk.data.config import ARRAY, PHANTOMS, DataConfig
from memtk.data.labels import words_of
from memtk.data.layouts import read_source
from memtk.data.manifest import Manifest, Row, few
from memtk.data.patients import GROUPS, SPLITS, is_missing, order_patients, said, split_patients
from memtk.data.public.catalogue import locate
from memtk.data.readers import Readers
from memtk.errors import UserError, did_you_mean, many, some

_WORDS = {"training": "train", "validation": "val", "held_out": "test"}
"""How a manifest marks the images of a split."""


REAL = frozenset(
    {
        *("real", "reals", "original", "originals", "input", "inputs", "target", "targets"),
        *("rec", "recon", "recons", "reconstruction", "reconstructions", "reconstructed"),
    }
)
"""Words that generators' programs put into the names of real images beside synthetic ones."""


@dataclass(frozen=True)
class Listing:
    """The images of all sources of a run.

    Args:
        rows: of every image that is used; the split is "" where none is said.
        notes: sentences that the user should read.
        unnamed: groups whose source does not say whose its images are ("real" for one source of
            all splits).
        root: a folder above all sources; names in messages are relative to it.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    unnamed: tuple[str, ...]
    root: Path


def list_sources(config: DataConfig, readers: Readers) -> Listing:
    """List the images of every source that `config` names, each with the group that it fills.

    `source` alone gives all splits, as it says. Beside `validation_source` it gives the training
    images; beside `held_out_source` alone, training and validation. From a source that names
    splits the rows of its own group are taken, from one that names none, all; from the source of
    the synthetic images those marked so, else all. A patient who is named in two sources is the
    same patient. Where a source does not say whose its images are, each counts as a patient of
    that source, so that files of equal names are not one patient.

    Raises:
        UserError: for what `read_source` refuses, naming the group; if a source holds no image of
            its group.
    """
    sources = {_first(config): config.source, **config.sources_beside()}
    several = len(sources) > 1
    every: list[Row] = []
    rows: list[Row] = []
    notes: list[str] = []
    unnamed: list[str] = []
    for group, source in sources.items():
        manifest = _read(group, source, config, readers)
        own = _own(manifest.rows, source, group, config)
        if group == "synthetic":
            own = [replace(r, patient=f"synthetic {n}") for n, r in enumerate(own)]
            notes += _named_real(own)
        elif not manifest.named:
            unnamed.append(group)
            if group != "real":
                own = [replace(row, patient=f"{said(group)} {row.patient}") for row in own]
        every += manifest.rows
        rows += own
        notes += [f"{said(group)} images: {n}" if several else n for n in manifest.notes]
    notes += _unused(every, rows)
    return Listing(tuple(rows), tuple(notes), tuple(unnamed), _root(list(sources.values())))


def assign_splits(rows: Sequence[Row], config: DataConfig) -> tuple[list[Row], list[str]]:
    """Split the patients of the rows that say no split; return all rows and notes about it.

    Rows are ordered by group, so that a group's images lie together, and otherwise stay in order.
    """
    notes = []
    if config.resplit:
        said_split = sum(bool(row.split) and row.split != "synthetic" for row in rows)
        rows = [row if row.split == "synthetic" else replace(row, split="") for row in rows]
        if said_split:
            notes.append(f"the split that the data say of {said_split} images is not used: resplit")
    open_rows = [row for row in rows if not row.split]
    asked = {"validation", "held_out", "split_seed"} & config.model_fields_set
    if not open_rows and asked:
        notes.append(
            f"data.{min(asked)} is not used: the data say the split of every image; "
            "data.resplit=true splits all patients anew"
        )
    parts = split_patients(
        (row.patient for row in open_rows),
        validation=config.validation,
        held_out=config.held_out,
        seed=config.split_seed,
    )
    if open_rows:
        counts = {split: sum(p == split for p in parts.values()) for split in SPLITS}
        there = ", ".join(f"{n} {said(split)}" for split, n in counts.items() if n)
        notes.append(f"{many(len(parts), 'patient', 'is/are')} split at random: {there}")
    done = [row if row.split else replace(row, split=parts[row.patient]) for row in rows]
    return sorted(done, key=lambda row: GROUPS.index(row.split)), notes


def limited(rows: Sequence[Row], config: DataConfig) -> tuple[list[Row], list[str]]:
    """Keep as many patients of each split, and images of each, as `data.limit` says.

    Patients are kept in the order of `order_patients`, images of one in that of their names. The
    rows stay in order; synthetic ones are all kept.

    Args:
        rows: each with its split.

    Returns:
        The rows that are kept, and a sentence about what is left out, if anything is.
    """
    limit = config.limit
    drawn: set[tuple[str, str]] = set()
    for split in SPLITS:
        there = {row.patient for row in rows if row.split == split}
        drawn |= {
            (split, p) for p in order_patients(there, config.split_seed)[: getattr(limit, split)]
        }
    few = _first_images(rows, limit.images_per_patient)
    kept = [
        row
        for row in rows
        if row.split == "synthetic" or ((row.split, row.patient) in drawn and id(row) in few)
    ]
    if len(kept) == len(rows):
        return kept, []
    counts = ", ".join(f"{sum(r.split == s for r in kept)} {said(s)}" for s in SPLITS)
    return kept, [f"data.limit: {some(len(kept), len(rows), 'image', 'is/are')} used: {counts}"]


def stratum_of(row: Row, column: str | None) -> str:
    """Return what a row says in the column that tells groups of patients apart; "" if nothing."""
    value = row.extra.get(column, "").strip() if column else ""
    return "" if is_missing(value) else value


def check_strata(rows: Sequence[Row], column: str) -> None:
    """Refuse training and validation images whose group of patients is not said.

    Raises:
        UserError: naming the column, or the first images.
    """
    real = [row for row in rows if row.split in ("training", "validation")]
    if not any(column in row.extra for row in real):
        there = sorted({name for row in real for name in row.extra})
        has = f"the manifest has {', '.join(there)}" if there else "the images come without columns"
        raise UserError(
            f"data.stratify = {column}: there is no such column; {has}."
            f"{did_you_mean(column, there)}\nName the images in a manifest (CSV) that has it "
            "beside path, patient_id and split, or leave data.stratify out"
        )
    check_spelled_alike((stratum_of(row, column) for row in real), f"data.stratify = {column}")
    lack = [row for row in real if not stratum_of(row, column)]
    if lack:
        raise UserError(
            f"data.stratify = {column}: {len(lack)} of {len(real)} training and validation images "
            f"have no value there: {few([row.name for row in lack])}.\nFill the column (one word "
            "for all that is unknown is a group too), or leave these images or data.stratify out"
        )


def check_spelled_alike(values: Iterable[str], where: str) -> None:
    """Refuse values of a column that differ in case, spaces or the form of a number alone.

    Raises:
        UserError: naming the spellings of one.
    """
    spellings: dict[str | float, list[str]] = defaultdict(list)
    for value in dict.fromkeys(values):
        text = unicodedata.normalize("NFKC", value)
        text = re.sub(r"(?<=\d)[\s_]+(?=\d)", "-", text)  # 1_1 is not 11
        form: str | float = re.sub(r"[\s_]+", "", text).casefold()
        with suppress(ValueError):
            form = float(form)
        spellings[form].append(value)
    for alike in spellings.values():
        if len(alike) > 1:
            raise UserError(
                f"{where}: {' and '.join(map(repr, alike[:3]))} are one value in several spellings "
                "and would be told apart: spell them alike, or give them names that differ in more"
            )


def _first(config: DataConfig) -> str:
    """Return the group that `config.source` fills, "real" if it gives several."""
    return "training" if config.validation_source is not None else "real"


def _read(group: str, source: str, config: DataConfig, readers: Readers) -> Manifest:
    if source in PHANTOMS:
        raise UserError(
            f"data.{group}_source = {source}: phantoms are made with all their splits by "
            f"data.source = {source}; they do not stand beside images in files"
        )
    if held := held_in(config, source):
        return held.manifest()
    try:
        return read_source(source, config, readers, patients=group != "synthetic")
    except UserError as error:
        where = "--data" if not config.sources_beside() else f"the {said(group)} images,"
        raise UserError(f"{where} {error}") from error


def _own(rows: Sequence[Row], source: str, group: str, config: DataConfig) -> list[Row]:
    """Return the rows of a source that are asked for, with their group.

    Raises:
        UserError: if there is none.
    """
    if group == "synthetic":
        marked = [row for row in rows if row.split == group]
        return [replace(row, split=group) for row in marked or rows]
    if group == "real":
        beside = config.sources_beside()
        own = [row for row in rows if row.split not in {*beside, "synthetic"}]
    else:
        own = [row for row in rows if row.split == group]
        own = own or [replace(row, split=group) for row in rows if not row.split]
    if not own:
        counts = Counter(row.split for row in rows)
        there = ", ".join(f"{counts[g]} {said(g)}" for g in GROUPS if counts[g])
        raise UserError(
            f"{source} has no {said(group)} images; by its splits it has {there}.\n"
            f"Mark some as {_WORDS.get(group, 'train and val')}, or leave its splits out (a "
            "column, or folders called train, val, test, synthetic, generated): then all are taken"
        )
    return own


def _named_real(rows: Sequence[Row]) -> list[str]:
    """Say which synthetic images have the names of others: of real ones, of reconstructions."""
    names = ["/".join((*row.record.path.parts[-2:], row.record.item)).rstrip("/") for row in rows]
    found = [name for name in names if REAL & {*words_of(name)}]
    if not found or len(found) == len(names):
        return []
    return [
        f"{some(len(found), len(names), 'synthetic image', 'is/are')} named as real ones or as "
        f"what was made of them ({few(found)}): take them out if they are"
    ]


def _unused(every: Iterable[Row], rows: Iterable[Row]) -> list[str]:
    used = {(row.record.path, row.record.item) for row in rows}
    left = {(r.record.path, r.record.item): r.split for r in every}
    counts = Counter(split for key, split in left.items() if key not in used)
    texts = []
    if counts["synthetic"]:
        texts.append(
            f"{many(counts.pop('synthetic'), 'synthetic image', 'is/are')} not used: "
            "data.synthetic_source, or --synthetic, says which to judge"
        )
    if counts.total():
        what = ", ".join(f"{counts[g]} {said(g)}" for g in ("", *GROUPS) if counts[g])
        texts.append(f"not used, because another source is given for them: {what.strip()} images")
    return texts


def _root(sources: Sequence[str]) -> Path:
    """Return the folder above all sources in files; of one source, its own folder."""
    paths = [Path(locate(s)).expanduser() for s in sources if not s.startswith(ARRAY)] or [Path()]
    folders = [path if path.is_dir() else path.parent for path in paths]
    if len(set(folders)) == 1:
        return folders[0]
    try:
        return Path(os.path.commonpath([folder.absolute() for folder in folders]))
    except ValueError:  # on two drives
        return folders[0]


def _first_images(rows: Sequence[Row], count: int | None) -> set[int]:
    """Return the identities of the first `count` rows of each patient in each split."""
    own: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        own[row.split, row.patient].append(row)
    first: set[int] = set()
    for images in own.values():
        images.sort(key=lambda row: (row.record.path.name, row.record.item))
        first |= {id(row) for row in images[:count]}
    return first
