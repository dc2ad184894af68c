"""From labels to what they say: of the readers, of each other, and of every rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np

from memtk.errors import UserError, many
from memtk.files import write_text
from memtk.memorization import (
    ReadPairs,
    best_agreement,
    cohen_kappa,
    disagreements,
    fleiss_kappa,
    majority,
    share,
)
from memtk.noise import derive
from memtk.results.review import (
    CONSENSUS,
    RECORD,
    BestThresholdRead,
    Kappa,
    Reader,
    ReadShare,
    ReadStratum,
    Review,
    RuleRead,
)
from memtk.reviewing.draw import PAIRS, Draw, open_draw, patients_with_several
from memtk.reviewing.labels import Labels, all_labels
from memtk.reviewing.reviewed import DrawnPair, Over, ReviewedSet, open_set

CONFIDENCE = 0.95
"""Of the intervals of a reading."""

_NAMED = {
    "training": (("sure", "exposure_sure"), ("suspect", "exposure_flagged")),
    "synthetic": (("sure", "copies_sure"), ("suspect", "copies_flagged")),
}
"""What the run itself names on either side: names of rules, and of arrays."""

_TITLES = {"sure": "named for sure", "suspect": "suspect", "threshold": "threshold of copy rate"}


def truth_of(draw: Draw, readers: Sequence[Labels]) -> np.ndarray:
    """Return what the readers call each drawn pair: 1.0 a copy, 0.0 novel, NaN nothing clear.

    Most of them; of a pair on which they disagree the consensus, where there is one.
    """
    if not readers:
        return np.full(len(draw.drawn), np.nan)
    together = [each for each in readers if each.reader == CONSENSUS]
    alone = [each for each in readers if each.reader != CONSENSUS]
    found = majority(_table(draw.drawn, alone)) if alone else np.full(len(draw.drawn), np.nan)
    apart = set(disputed(draw, readers))
    for labels in together:
        for k, pair in enumerate(draw.drawn):
            if pair.name in labels.labels and pair.name in apart:
                said = labels.labels[pair.name].label
                found[k] = {"copy": 1.0, "novel": 0.0, "unsure": np.nan}[said]
    return found


def disputed(draw: Draw, readers: Sequence[Labels]) -> list[str]:
    """Return the names of the drawn pairs that readers gave different labels."""
    alone = [each for each in readers if each.reader != CONSENSUS]
    if len(alone) < 2:
        return []
    flags = disagreements(_table(draw.drawn, alone))
    return [pair.name for pair, flag in zip(draw.drawn, flags.tolist(), strict=True) if flag]


def read_pairs(
    reviewed: ReviewedSet, draw: Draw, readers: Sequence[Labels]
) -> tuple[ReadPairs, np.ndarray]:
    """Return the drawn pairs that are clearly a copy or novel, and which of the drawn these are."""
    truth = truth_of(draw, readers)
    clear = np.flatnonzero(~np.isnan(truth))
    rows, over = _rows(draw), draw.options.over
    return ReadPairs(
        similarity=reviewed.similarity(over)[rows[clear]],
        copy=truth[clear] > 0.5,
        stratum=np.array([pair.stratum for pair in draw.drawn], dtype=np.int64)[clear],
        sizes=np.array([each.size for each in draw.strata]),
    ), clear


def rules_of(reviewed: ReviewedSet, over: Over) -> Iterator[tuple[str, str, np.ndarray]]:
    """Return each rule of a run that flags single images of a side: name, title, flags of all.

    Those are the protocols' own flags, what the run names, and the threshold of its copy rate.
    """
    arrays, size = reviewed.arrays, len(reviewed.similarity(over))
    for key in sorted(arrays):
        if key.startswith("flagged_") and key.endswith(f"_{over}") and len(arrays[key]) == size:
            name = key.removeprefix("flagged_").removesuffix(f"_{over}")
            yield name, name, arrays[key]
    for name, key in _NAMED[over]:
        if key in arrays:
            yield name, _TITLES[name], arrays[key]
    threshold = reviewed.evidence.threshold
    if threshold is not None and "training_stratum" not in arrays:
        yield "threshold", _TITLES["threshold"], reviewed.similarity(over) > threshold.similarity


def rule_read(name: str, title: str, flags: np.ndarray, pairs: ReadPairs, seed: int) -> RuleRead:
    """Return how often a rule is right, by what readers say of the same pairs.

    Args:
        flags: bool, of each of the pairs.

    >>> pairs = ReadPairs(np.zeros(4), np.array([1, 1, 0, 0], bool), np.zeros(4, int), np.ones(1))
    >>> rule_read("a", "a", np.array([1, 0, 0, 0], bool), pairs, 0).confusion
    ((2, 1), (0, 1))
    """
    copy = pairs.copy

    def of(part: np.ndarray, whole: np.ndarray) -> ReadShare:
        return ReadShare(**asdict(pairs.proportion(part & whole, whole, CONFIDENCE, seed)))

    return RuleRead(
        name=name,
        title=title,
        confusion=(
            (int((~flags & ~copy).sum()), int((~flags & copy).sum())),
            (int((flags & ~copy).sum()), int((flags & copy).sum())),
        ),
        sensitivity=of(flags, copy),
        specificity=of(~flags, ~copy),
        ppv=of(copy, flags),
        npv=of(~copy, ~flags),
    )


def review_of(reviewed: ReviewedSet, draw: Draw) -> Review:
    """Return what all labels of a reading say so far."""
    readers = all_labels(reviewed.folder, draw)
    alone = [each for each in readers if each.reader != CONSENSUS]
    pairs, clear = read_pairs(reviewed, draw, readers)
    rows, over, drawn = _rows(draw)[clear], draw.options.over, draw.drawn
    seed = derive(draw.options.seed, "review intervals")
    everything = np.ones(len(clear), dtype=bool)
    touched = {name for each in readers for name in each.labels}
    unclear = sum(pair.name in touched for pair in drawn) - len(clear)
    fleiss, fleiss_pairs = _fleiss(drawn, alone)
    best = best_agreement(pairs, CONFIDENCE, seed)
    copies = pairs.proportion(pairs.copy, everything, CONFIDENCE, seed)
    return Review(
        set=draw.set,
        evidence=draw.evidence,
        over=over,
        drawn=len(drawn),
        planted=sum(pair.kind == "planted" for pair in draw.pairs),
        strangers=sum(pair.kind == "stranger" for pair in draw.pairs),
        shared=patients_with_several(reviewed, drawn),
        confidence=CONFIDENCE,
        readers=[_reader(draw, labels) for labels in alone],
        read=len(clear),
        unclear=unclear,
        copies=ReadShare(**asdict(copies)),
        strata=[
            ReadStratum(
                low=each.low,
                high=each.high,
                size=each.size,
                read=int((pairs.stratum == h).sum()),
                copies=int((pairs.copy & (pairs.stratum == h)).sum()),
            )
            for h, each in enumerate(draw.strata)
        ],
        rules=[
            rule_read(name, title, np.asarray(flags, dtype=bool)[rows], pairs, seed)
            for name, title, flags in rules_of(reviewed, over)
        ],
        kappas=[_kappa(drawn, a, b) for a, b in combinations(alone, 2)],
        fleiss=fleiss,
        fleiss_pairs=fleiss_pairs,
        disagreements=disputed(draw, readers),
        best=BestThresholdRead(**asdict(best)) if best else None,
    )


def write_review(reviewed: ReviewedSet, draw: Draw) -> Review:
    """Write what the labels say into the folder of the reading, and return it."""
    found = review_of(reviewed, draw)
    text = found.model_dump_json(indent=1) + "\n"
    write_text(reviewed.folder / RECORD, text, private=True)
    return found


def readers_arrays(path: Path, label: str) -> dict[str, np.ndarray]:
    """Return the pairs that the copy rate may take its sensitivity from, as `Groups.readers` does.

    Args:
        path: the result file of a set.
        label: of the set; of one whose pairs are not read, such as an earlier checkpoint, nothing
            is returned.

    Raises:
        UserError: if nobody has read pairs of the run, they were drawn over training images, or
            readers saw no copy.
    """
    home, audit = path.parent, path.name == "audit.json"
    reviewed = open_set(home) if audit else open_set(home.parents[1], home.name)
    if label != reviewed.label:
        return {}
    advice = "read pairs that were drawn with `memtk review RUN --over synthetic`"
    if not (reviewed.folder / PAIRS).exists():
        raise UserError(f"nobody has read pairs of {home}: {advice}")
    draw = open_draw(reviewed)
    if draw.options.over != "synthetic":
        raise UserError(
            f"the pairs in {reviewed.folder} were drawn over training images. Of several copies of "
            "one image they show the nearest, which is found most easily, so the copy rate would "
            f"come out too low: {advice}"
        )
    pairs, clear = read_pairs(reviewed, draw, all_labels(reviewed.folder, draw))
    if not pairs.copy.any():
        raise UserError(
            f"the readers of {home} have called none of {many(len(pairs.copy), 'pair')} a copy: "
            "without any, the sensitivity stays that to planted copies"
        )
    return {
        "read_synthetic": _rows(draw)[clear],
        "read_copy": pairs.copy,
        "read_stratum": pairs.stratum,
        "read_sizes": pairs.sizes,
    }


def _reader(draw: Draw, labels: Labels) -> Reader:
    said = {pair.name: labels.labels.get(pair.name) for pair in draw.pairs}

    def right(kind: str, label: str) -> ReadShare:
        given = [said[p.name] for p in draw.pairs if p.kind == kind and said[p.name] is not None]
        found = share(np.array([each is not None and each.label == label for each in given]))
        rate = found.rate if found.n else None
        return ReadShare(count=found.count, n=found.n, rate=rate, low=found.low, high=found.high)

    own = [r.label for p in draw.drawn if (r := said[p.name]) is not None]
    times = [r.seconds for r in labels.labels.values() if r.seconds > 0]
    return Reader(
        name=labels.reader,
        copies=own.count("copy"),
        novel=own.count("novel"),
        unsure=own.count("unsure"),
        seconds=round(median(times), 1) if times else None,
        sensitivity=right("planted", "copy"),
        specificity=right("stranger", "novel"),
    )


def _kappa(drawn: Sequence[DrawnPair], first: Labels, second: Labels) -> Kappa:
    both = [p.name for p in drawn if p.name in first.labels and p.name in second.labels]
    a, b = ([each.labels[name].label for name in both] for each in (first, second))
    return Kappa(readers=(first.reader, second.reader), pairs=len(both), kappa=cohen_kappa(a, b))


def _fleiss(drawn: Sequence[DrawnPair], readers: Sequence[Labels]) -> tuple[float | None, int]:
    if len(readers) < 2:
        return None, 0
    every = [p.name for p in drawn if all(p.name in each.labels for each in readers)]
    table = [[each.labels[name].label for name in every] for each in readers]
    return fleiss_kappa(table), len(every)


def _table(drawn: Sequence[DrawnPair], readers: Sequence[Labels]) -> list[list[str | None]]:
    def said(labels: Mapping[str, object], name: str) -> str | None:
        return getattr(labels.get(name), "label", None)

    return [[said(each.labels, pair.name) for pair in drawn] for each in readers]


def _rows(draw: Draw) -> np.ndarray:
    """Return the images that the drawn pairs are of, on the side that they were drawn over."""
    over = draw.options.over
    rows = [pair.training if over == "training" else pair.other for pair in draw.drawn]
    return np.array(rows, dtype=np.int64)
