"""Uses some of the patients of a large data set: always the same ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from memtk.data.config import DataConfig
from memtk.data.manifest import Row
from memtk.data.splits import SPLITS, order_patients, said


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
    return kept, [f"data.limit: {len(kept)} of {len(rows)} images are used: {counts}"]


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
