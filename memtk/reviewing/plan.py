"""How many pairs and readers a reading takes, before anybody reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import binom

from memtk import __version__
from memtk.config import build
from memtk.intervals import clopper_pearson
from memtk.memorization import ReadPairs
from memtk.results.migrations import SCHEMA
from memtk.results.review import read_review
from memtk.results.store import Fraction, StoredRecord
from memtk.reviewing.draw import DrawOptions, allotted, strata_of
from memtk.reviewing.reviewed import ReviewedSet
from memtk.reviewing.statistics import CONFIDENCE

RIGHT = 0.9
"""How often a rule is taken to be right, of copies and of novel pairs alike, and a reader too."""

SECONDS = 20.0
"""That a pair is taken to need where nobody has read any yet."""

SIZES = (50, 100, 200, 400)
"""Pairs that a plan looks at, beside those asked for."""


class PlannedSize(StoredRecord):
    """What so many pairs show, if the reference rule is right in 90% of both kinds.

    Args:
        pairs: drawn.
        copies: of them, expected.
        sensitivity: the interval of the rule's, and `specificity` likewise.
        kappa: half the width of the interval of Cohen's kappa of two readers who agree in 90%.
        hours: that one reader needs, controls included.
    """

    pairs: int
    copies: float
    sensitivity: tuple[Fraction, Fraction]
    specificity: tuple[Fraction, Fraction]
    kappa: float
    hours: float


class ReadingPlan(StoredRecord):
    """How many pairs and readers for which interval.

    Args:
        schema_version: of this record.
        memtk_version: that made it.
        available: pairs that the set has.
        flagged: share of them that the reference rule flags.
        options: of the draw.
        confidence: of the intervals.
        seconds: that a pair takes: the median of those who have read here, or a guess.
        sizes: by number of pairs.
        controls: lower end of a reader's own sensitivity if all of `options.controls` are right.
        majority: by number of readers, how often most of them are right if each is in 90%.
    """

    schema_version: int = SCHEMA
    memtk_version: str = __version__
    available: int
    flagged: Fraction
    options: DrawOptions
    confidence: float = CONFIDENCE
    seconds: float = SECONDS
    sizes: list[PlannedSize]
    controls: Fraction | None
    majority: dict[int, float]


def plan_reading(reviewed: ReviewedSet, asked: Mapping[str, Any]) -> ReadingPlan:
    """Return what readings of several sizes would show of a run.

    Args:
        asked: keys of `DrawOptions`; others are the defaults.

    Raises:
        UserError: for an option that is none.
    """
    options = build(DrawOptions, asked, where="review")
    similarity, tau = reviewed.similarity(options.over), reviewed.evidence.tau
    strata = strata_of(similarity, tau if options.stratified else None)
    flagged = similarity > tau
    known = read_review(reviewed.home)
    times = [each.seconds for each in known.readers if each.seconds] if known else []
    seconds = float(np.median(times)) if times else SECONDS
    sizes = sorted({min(n, len(similarity)) for n in (*SIZES, options.pairs)})
    controls = options.controls
    return ReadingPlan(
        available=len(similarity),
        flagged=float(flagged.mean()),
        options=options,
        seconds=seconds,
        sizes=[_planned(strata, flagged, n, controls, seconds) for n in sizes],
        controls=clopper_pearson(controls, controls, CONFIDENCE).low if controls else None,
        majority={k: float(binom.sf(k // 2, k, RIGHT)) for k in (1, 3, 5)},
    )


def _planned(
    strata: np.ndarray, flagged: np.ndarray, pairs: int, controls: int, seconds: float
) -> PlannedSize:
    share = float(flagged.mean())
    copies = min(max((share + RIGHT - 1) / (2 * RIGHT - 1), 0.0), 1.0)  # Rogan and Gladen
    right = RIGHT * copies / share if share else 0.0  # copies of those flagged
    missed = (1 - RIGHT) * copies / (1 - share) if share < 1 else 0.0
    sizes = np.bincount(strata)
    said: list[tuple[bool, bool, int]] = []  # flagged, copy, stratum
    for h, count in enumerate(allotted(sizes, pairs)):
        above = round(count * float(flagged[strata == h].mean()))
        for flag, of, rate in ((True, above, right), (False, count - above, missed)):
            found = round(of * min(rate, 1.0))
            said += [(flag, k < found, h) for k in range(of)]
    flags, copy, stratum = (np.array(column) for column in zip(*said, strict=True))
    read = ReadPairs(np.zeros(len(said)), copy, stratum, sizes)
    seen, spared = (
        read.proportion(part & whole, whole, CONFIDENCE)
        for part, whole in ((flags, copy), (~flags, ~copy))
    )
    by_chance = copies**2 + (1 - copies) ** 2
    kappa = 1.96 * math.sqrt(RIGHT * (1 - RIGHT) / pairs) / max(1 - by_chance, 1e-9)
    return PlannedSize(
        pairs=pairs,
        copies=float(copy.sum()),
        sensitivity=(seen.low, seen.high),
        specificity=(spared.low, spared.high),
        kappa=min(kappa, 2.0),
        hours=(pairs + 2 * controls) * seconds / 3600,
    )
