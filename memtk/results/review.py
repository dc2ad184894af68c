"""What readers have said of pairs of images, and how often rules are right by it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from memtk import __version__
from memtk.results.migrations import SCHEMA
from memtk.results.store import Fraction, StoredRecord, read_record

FOLDER = "review"
"""Of a run, or of a cell of a bench, with what belongs to its reading."""

RECORD = "review.json"
"""What was said, in that folder."""

CONSENSUS = "consensus"
"""The reader whose labels count where others disagree."""

Label = Literal["novel", "copy", "unsure"]


def _one_name(name: str) -> str:
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise ValueError("the name of a reader is one line of up to 80 characters")
    return name


ReaderName = Annotated[str, AfterValidator(_one_name)]


class ReadShare(StoredRecord):
    """A share of read pairs; see `memtk.memorization.Proportion`, field by field."""

    count: int = Field(ge=0)
    n: int = Field(ge=0)
    rate: Fraction | None
    low: Fraction
    high: Fraction


class Reader(StoredRecord):
    """What one reader did.

    Args:
        name: as given.
        copies: drawn pairs called a copy; `novel` and `unsure` likewise.
        seconds: median time of a pair; None without one.
        sensitivity: planted copies called a copy, of those read; unsure counts as missed.
        specificity: pairs of strangers called novel, likewise.
    """

    name: ReaderName
    copies: int = Field(ge=0)
    novel: int = Field(ge=0)
    unsure: int = Field(ge=0)
    seconds: float | None = None
    sensitivity: ReadShare
    specificity: ReadShare


class RuleRead(StoredRecord):
    """A rule against the readers, who are taken for the truth.

    Args:
        name: "dar", or another protocol's; "sure", "suspect" and "threshold": what the run itself
            names, and the threshold of its copy rate.
        title: what it is, in a few words.
        confusion: pairs, rows by rule, columns by readers, novel first; without weights.
        sensitivity: of the readers' copies, those that the rule flags.
        specificity: of the readers' novel pairs, those that it does not.
        ppv: of the pairs that it flags, those that the readers call a copy.
        npv: of those that it does not, those that they call novel.
    """

    name: str
    title: str
    confusion: tuple[tuple[int, int], tuple[int, int]]
    sensitivity: ReadShare
    specificity: ReadShare
    ppv: ReadShare
    npv: ReadShare


class ReadStratum(StoredRecord):
    """Pairs of similarities from `low` to `high`: all there are, and those with a clear label."""

    low: float
    high: float
    size: int = Field(ge=1)
    read: int = Field(ge=0)
    copies: int = Field(ge=0)


class Kappa(StoredRecord):
    """Cohen's kappa of two readers on the `pairs` that both have read; None: not defined."""

    readers: tuple[ReaderName, ReaderName]
    pairs: int = Field(ge=0)
    kappa: float | None


class BestThresholdRead(StoredRecord):
    """See `memtk.memorization.BestThreshold`, field by field."""

    similarity: float
    low: float
    high: float
    agreement: Fraction


class Review(StoredRecord):
    """A reading of pairs. It names no patient and no file.

    Args:
        schema_version: of this file.
        memtk_version: that wrote it.
        set: the synthetic images: "audit", or cell and checkpoint of a bench.
        evidence: `hash_of` the similarities that the pairs were drawn from.
        over: of which images a pair each was drawn, with the nearest of the others.
        drawn: pairs; `planted` and `strangers` the controls among them.
        shared: pairs whose training patient has another pair too.
        confidence: of all intervals.
        readers: without the consensus.
        read: drawn pairs that are clearly a copy or novel by most readers, or by consensus.
        unclear: drawn pairs that were read, and are not.
        copies: share of the pairs that readers call copies.
        strata: of the draw; one where it was random.
        rules: against the readers.
        kappas: of each two readers, on the drawn pairs, unsure as a label of its own.
        fleiss: kappa of all readers on the `fleiss_pairs` that all have read.
        disagreements: short names of drawn pairs that were given different labels.
        best: the threshold that agrees best; None where readers saw one kind alone.
    """

    schema_version: int = SCHEMA
    memtk_version: str = __version__
    set: str
    evidence: str = ""
    over: Literal["training", "synthetic"]
    drawn: int = Field(ge=0)
    planted: int = Field(ge=0)
    strangers: int = Field(ge=0)
    shared: int = Field(0, ge=0)
    confidence: float = Field(gt=0, lt=1)
    readers: list[Reader]
    read: int = Field(ge=0)
    unclear: int = Field(ge=0)
    copies: ReadShare
    strata: list[ReadStratum]
    rules: list[RuleRead] = []
    kappas: list[Kappa] = []
    fleiss: float | None = None
    fleiss_pairs: int = Field(0, ge=0)
    disagreements: list[str] = []
    best: BestThresholdRead | None = None

    @property
    def weighted(self) -> bool:
        """Whether shares are weighted, because the draw was stratified."""
        return len(self.strata) > 1


def hash_of(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return 32 characters for the similarities, from `arrays.h5`, of a set, by its name."""
    digest = hashlib.sha256(name.encode())
    for key in ("train_synthetic", "synthetic_train", "train_validation"):
        digest.update(np.ascontiguousarray(arrays[key], dtype="<f8").tobytes())
    return digest.hexdigest()[:32]


def read_review(home: Path) -> Review | None:
    """Return the record of a reading; None where nothing was read.

    Args:
        home: the folder of an audit, or of a cell of a bench.

    Raises:
        UserError: if the file is damaged, naming it.
    """
    path = Path(home) / FOLDER / RECORD
    way_out = "`memtk review RUN --reader NAME` writes it anew"
    return read_record(path, Review, way_out) if path.exists() else None
