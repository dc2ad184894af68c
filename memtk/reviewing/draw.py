"""Which pairs are read: drawn from a run, with controls whose truth is known among them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from memtk import __version__
from memtk.config import build
from memtk.errors import UserError
from memtk.files import read_plain, write_text
from memtk.noise import derive
from memtk.results.migrations import SCHEMA
from memtk.results.store import StoredRecord, read_record
from memtk.reviewing.reviewed import DrawnPair, Over, ReviewedSet

PAIRS = "pairs.json"
"""The draw, in the folder of the reading. It tells controls from others: no reader may see it."""

NEAR = 1 / 3
"""Share of the pairs on each side of the threshold that count as near it."""

ALLOTTED = (0.2, 0.3, 0.3, 0.2)
"""Shares of a stratified draw: far below the threshold, near below, near above, far above."""


class DrawnStratum(StoredRecord):
    """Pairs of similarities from `low` to `high`, `size` in all."""

    low: float
    high: float
    size: int = Field(ge=1)


class DrawOptions(StoredRecord):
    """What was asked of a draw.

    Args:
        pairs: to draw; fewer where there are fewer.
        controls: planted copies, and as many pairs of strangers.
        over: of which images each pair is drawn, with the nearest of the others: "training", as in
            the paper, or "synthetic", which the sensitivity of the copy rate needs.
        stratified: more of them near the threshold of the reference rule.
        seed: all randomness follows from it.
    """

    pairs: int = Field(100, ge=1)
    controls: int = Field(10, ge=0)
    over: Over = "training"
    stratified: bool = False
    seed: int = Field(0, ge=0)


class Draw(StoredRecord):
    """The pairs of a reading, as they lie in `review/pairs.json`.

    Args:
        schema_version: of this file.
        memtk_version: that drew them.
        name: stands for this very draw; label files carry it.
        set: the synthetic images: "audit", or cell and checkpoint of a bench.
        evidence: hash of the similarities that it was drawn from.
        options: what was asked.
        strata: one where the draw is random.
        pairs: drawn ones and controls, in no order that tells which.
        exported: a page of these pairs was written to a file, so that labels may come back.
    """

    schema_version: int = SCHEMA
    memtk_version: str = __version__
    name: str
    set: str
    evidence: str
    options: DrawOptions
    strata: list[DrawnStratum]
    pairs: list[DrawnPair]
    exported: bool = False

    @property
    def drawn(self) -> list[DrawnPair]:
        """Those that are no controls."""
        return [pair for pair in self.pairs if pair.kind == "drawn"]

    def order(self, reader: str) -> list[str]:
        """Return the names of all pairs in the order in which a reader sees them."""
        seed = derive(self.options.seed, "order", self.name, reader)
        order = np.random.default_rng(seed).permutation(len(self.pairs))
        return [self.pairs[i].name for i in order.tolist()]


def open_draw(reviewed: ReviewedSet, asked: Mapping[str, Any] | None = None) -> Draw:
    """Return the pairs of a reading; drawn at the first call, and the same ever after.

    Args:
        asked: keys of `DrawOptions`; others are as they were drawn, or the defaults.

    Raises:
        UserError: if other pairs than are asked for were exported or labelled, the run has changed
            since, or the file of the draw is damaged.
    """
    path = reviewed.folder / PAIRS
    found = read_record(path, Draw, _way_out(reviewed)) if path.exists() else None
    same = found is not None and found.evidence == reviewed.digest()
    if found is not None and same and not _fits(found, reviewed):
        raise UserError(f"{path} has pairs of images that the run has not: {_way_out(reviewed)}")
    before = found.options.model_dump() if found is not None and same else {}
    options = build(DrawOptions, before | dict(asked or {}), where="review")
    if found is not None and same and options == found.options:
        return found
    labelled = any(map(_has_labels, reviewed.folder.glob("labels-*.json")))
    if labelled or (found is not None and found.exported):
        holds = "holds labels of" if labelled else "belongs to an exported page of"
        if not same:
            raise UserError(
                f"{reviewed.folder} {holds} another run of this name: move that folder away"
            )
        raise UserError(
            f"{reviewed.folder} {holds} other pairs, drawn with "
            f"{', '.join(f'{k} {v}' for k, v in before.items())}: leave these options out to go "
            "on, or move that folder away to begin anew"
        )
    draw = make_draw(reviewed, options)
    _write(reviewed, draw)
    return draw


def mark_exported(reviewed: ReviewedSet, draw: Draw) -> None:
    """Keep in mind that a page of a draw was given away: no other replaces it from now on."""
    if not draw.exported:
        _write(reviewed, draw.model_copy(update={"exported": True}))


def _write(reviewed: ReviewedSet, draw: Draw) -> None:
    reviewed.folder.mkdir(mode=0o700, exist_ok=True)
    write_text(reviewed.folder / PAIRS, draw.model_dump_json(indent=1) + "\n", private=True)


def _fits(draw: Draw, reviewed: ReviewedSet) -> bool:
    """Tell whether all images of a draw are there."""
    sizes = {
        "drawn": len(reviewed.images["synthetic"]),
        "stranger": len(reviewed.images["validation"]),
        "planted": len(draw.pairs),  # streams of noise
    }
    training = len(reviewed.images["training"])
    return all(
        pair.training < training
        and pair.other < sizes[pair.kind]
        and pair.stratum < len(draw.strata)
        for pair in draw.pairs
    )


def _has_labels(path: Path) -> bool:
    """Tell whether a file holds a label, or may hold one, because it is damaged."""
    try:
        return bool(json.loads(read_plain(path))["labels"])
    except (OSError, UserError, ValueError, KeyError, TypeError, RecursionError):
        return True


def _way_out(reviewed: ReviewedSet) -> str:
    return f"move {reviewed.folder} away, and the pairs are drawn again"


def make_draw(reviewed: ReviewedSet, options: DrawOptions) -> Draw:
    """Draw pairs from a set, and controls from its training images."""
    similarity, nearest = (reviewed.similarity(options.over), reviewed.nearest(options.over))
    digest = reviewed.digest()
    rng = np.random.default_rng(derive(options.seed, "review", digest))
    threshold = reviewed.evidence.tau if options.stratified else None
    stratum = strata_of(similarity, threshold)
    counts = allotted(np.bincount(stratum), options.pairs)
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(stratum == h), count, replace=False)
            for h, count in enumerate(counts)
        ]
    )
    pairs: list[tuple[str, int, int, int]] = []
    for row in rows.tolist():
        ends = (row, int(nearest[row]))
        training, other = ends if options.over == "training" else ends[::-1]
        pairs.append(("drawn", training, other, int(stratum[row])))
    pairs += _controls(reviewed, options.controls, {p[1] for p in pairs}, rng)
    salt = derive(options.seed, "names", digest, *options.model_dump().values())
    names = _names(reviewed.key, salt, len(pairs))
    order = rng.permutation(len(pairs)).tolist()
    return Draw(
        name=hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16],  # no order shows
        set=reviewed.name,
        evidence=digest,
        options=options,
        strata=[
            DrawnStratum(
                low=float(similarity[stratum == h].min()),
                high=float(similarity[stratum == h].max()),
                size=int((stratum == h).sum()),
            )
            for h in range(int(stratum.max()) + 1)
        ],
        pairs=[
            DrawnPair(name=names[i], kind=kind, training=a, other=b, stratum=h)
            for i, (kind, a, b, h) in ((i, pairs[i]) for i in order)
        ],
    )


def _controls(
    reviewed: ReviewedSet, count: int, used: set[int], rng: np.random.Generator
) -> list[tuple[str, int, int, int]]:
    """Return planted copies and strangers, of other training images where there are enough."""
    order = rng.permutation(len(reviewed.images["training"])).tolist()
    order.sort(key=lambda row: row in used)  # stable: unused ones first
    stranger = reviewed.arrays["train_validation_index"]
    planted = [("planted", row, k, 0) for k, row in enumerate(order[:count])]
    rest = order[count : 2 * count] or order[:count]
    return planted + [("stranger", row, int(stranger[row]), 0) for row in rest]


def _names(key: bytes, salt: int, count: int) -> list[str]:
    return [
        hashlib.blake2b(f"{salt} {i}".encode(), key=key[:64], digest_size=6).hexdigest()
        for i in range(count)
    ]


def strata_of(similarity: np.ndarray, threshold: float | None) -> np.ndarray:
    """Return the stratum of each pair, (n,), numbered from the least alike without gaps.

    Of the pairs on each side of the threshold the third next to it is near, the others are far.

    Args:
        threshold: None: all are of one stratum.

    >>> strata_of(np.array([.1, .2, .3, .6, .7, .9]), 0.5).tolist()
    [0, 0, 1, 2, 3, 3]
    >>> strata_of(np.array([.1, .9]), None).tolist()
    [0, 0]
    """
    if threshold is None:
        return np.zeros(len(similarity), dtype=np.int64)
    found = np.empty(len(similarity), dtype=np.int64)
    for above in (False, True):
        side = np.flatnonzero((similarity > threshold) == above)
        side = side[np.argsort(np.abs(similarity[side] - threshold), kind="stable")]
        near = int(np.ceil(NEAR * len(side)))
        found[side[:near]], found[side[near:]] = (2, 3) if above else (1, 0)
    numbers: np.ndarray = np.unique(found, return_inverse=True)[1]
    return numbers


def allotted(sizes: np.ndarray, pairs: int) -> list[int]:
    """Return how many pairs are drawn of each stratum: by `ALLOTTED`, none more than it has.

    >>> allotted(np.array([50, 10, 5, 400]), 100), allotted(np.array([30]), 100)
    ([43, 10, 5, 42], [30])
    """
    sizes = np.asarray(sizes)
    shares = np.array(ALLOTTED if len(sizes) == len(ALLOTTED) else [1 / len(sizes)] * len(sizes))
    counts = np.zeros(len(sizes), dtype=np.int64)
    left = min(pairs, int(sizes.sum()))
    while left:
        open_ = counts < sizes
        wanted = np.where(open_, shares, 0) / shares[open_].sum() * left
        step = np.minimum(np.floor(wanted).astype(np.int64), sizes - counts)
        if not step.any():
            step[int(np.argmax(wanted))] = 1
        counts, left = counts + step, left - int(step.sum())
    return counts.tolist()


def patients_with_several(reviewed: ReviewedSet, pairs: Sequence[DrawnPair]) -> int:
    """Return how many pairs have a training image of a patient who has another pair too."""
    people = reviewed.images["training"].patients
    if not people:
        return 0
    mine = [people[pair.training] for pair in pairs]
    return sum(mine.count(name) > 1 for name in mine)
