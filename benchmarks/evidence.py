"""Known truth, many times: what an audit of embeddings says where it is known what was memorized.

Patients are Gaussian (32 numbers, one image each but for `several`, compared by Pearson's
correlation), so that a run takes a second: names, bounds, intervals and verdicts are counted
against the truth. Rates that should be at most 5% are shown with the runs they rest on.

    python benchmarks/evidence.py null --runs 200            # nothing memorized, sizes V and M
    python benchmarks/evidence.py copies --runs 200          # 1, 3, 15 copies and 10%
    python benchmarks/evidence.py several --runs 200         # patients of 1, 2 and 10 images
    python benchmarks/evidence.py unlike --runs 200          # bland generators, other sites
    python benchmarks/evidence.py rare --runs 200            # a kind that no validation patient is
    python benchmarks/evidence.py harder --runs 200          # copies harder than the planted ones
    python benchmarks/evidence.py release --runs 100         # what a first audit has left

Prints a Markdown table; `--workers` processes share the runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch

from memtk.evaluation import (
    MIXED,
    Calibration,
    EmbeddedSets,
    Evaluation,
    Levels,
    Patients,
    PlantedSimilarity,
    TrainingSearch,
    calibrate,
    evaluate,
    self_test,
)
from memtk.interfaces import Similarity
from memtk.memorization import copy_rate, energy_test, search, tipping_point, withhold
from memtk.registry import open_registry
from memtk.results import AuditVerdict, Counts, Policy, decide
from memtk.results.audit import Screened

D, PLANTED, NOISE = 32, 100, 0.3
DECAY = np.arange(1, D + 1) ** -0.5  # of the axes' spread, as of embeddings of images
SEVERAL = (1, 1, 1, 1, 1, 2, 2, 2, 10, 10)  # images of ten patients
LIMIT = Policy().max_copy_rate
DESIGNS: tuple[tuple[int, Screened, bool], ...] = (
    *((28, "same design", True), (28, "another design", True), (16, "another design", True)),
    *((0, "another design", True), (28, "another design", False)),
)
MODES = ("null", "copies", "several", "unlike", "rare", "harder", "release")


@dataclass(frozen=True)
class Case:
    """What is drawn: N training, V validation, M synthetic images, of which `copies` are copies.

    Args:
        noise: of a copy, in units of its original's length; 0: verbatim.
        bland: axes from this one on are shrunk to a half in the synthetic images; None: none.
        site: by how many standard deviations another site is shifted.
        whose: of the other site: "" nobody, "validation", "half" of training and synthetic images.
        kind: patients of a rare kind that is very alike, among the training patients; 5 new ones
            are among the synthetic images, and no validation patient is of it.
        directions: in which that kind varies.
        tips: whether the tipping point is compared with the true sensitivity.
        several: whether patients have 1, 2 or 10 images, half of what tells images apart in common.
        given: images of the patients who are given back, each by one of them; 0: of any.
        shared: features of 32 that a second audit, of what the first has left, sees as well; the
            planted copies then have the noise of the others. None: there is no second audit.
        screened: its design beside that of the first.
        filtered: whether strangers and planted copies go through the filter of the first, too.
    """

    name: str
    v: int
    m: int
    copies: int = 0
    noise: float = NOISE
    bland: int | None = None
    site: float = 0.0
    whose: str = ""
    n: int = 200
    kind: int = 0
    directions: int = D
    tips: bool = False
    several: bool = False
    given: int = 0
    shared: int | None = None
    screened: Screened | None = None
    filtered: bool = True

    def owner(self, patients: int) -> np.ndarray:
        """Return the patient of each of their images."""
        sizes = np.resize(SEVERAL, patients) if self.several else 1
        return np.repeat(np.arange(patients), sizes)


@dataclass(frozen=True)
class Planted:
    """Planted copies and the training images that they were made of, (K, D) and (K,)."""

    copies: np.ndarray
    sources: np.ndarray


@cache
def pearson() -> Similarity:
    made: Similarity = open_registry().load("similarity", "pearson")()
    return made


def copied(rng: np.random.Generator, rows: np.ndarray, noise: float) -> np.ndarray:
    """Return rows with noise of `noise` times their own length."""
    extra = rng.normal(size=rows.shape)
    extra *= np.linalg.norm(rows, axis=1, keepdims=True) / np.linalg.norm(
        extra, axis=1, keepdims=True
    )
    return rows + noise * extra


def images(rng: np.random.Generator, owner: np.ndarray, features: int) -> np.ndarray:
    """Return rows; those of a patient have half of their variance in common."""
    people = rng.normal(size=(owner[-1] + 1, features))
    if len(owner) == len(people):
        return people
    return (people[owner] + rng.normal(size=(len(owner), features))) / 2**0.5


def draw(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return training, validation and synthetic rows, and of which image each copy is."""
    d = D if case.shared is None else 2 * D
    spread = DECAY if case.bland is not None or case.whose else np.ones(d)
    owner = case.owner(case.n)
    owners = (owner, case.owner(case.v), np.arange(case.m))
    train, val, made = (images(rng, whose, d) * spread for whose in owners)
    away = case.site * spread * np.random.default_rng(0).choice([-1, 1], d)
    if case.whose == "validation":
        val = val + away
    elif case.whose == "half":
        train[case.n // 2 :] += away
        made[case.m // 2 :] += away
    if case.bland is not None:
        made[:, case.bland :] *= 0.5
    if case.kind:
        centre, basis = rng.normal(size=D), np.linalg.qr(rng.normal(size=(D, case.directions)))[0]
        own = rng.normal(size=(case.kind + 5, case.directions)) @ basis.T
        own = centre + 0.1 * (D / case.directions) ** 0.5 * own
        train[: case.kind], made[-5:] = own[5:], own[:5]
    first, sizes = np.unique(owner, return_index=True, return_counts=True)[1:]
    who = first if not case.given else first[sizes == case.given]
    source = who[rng.choice(len(who), case.copies, replace=case.copies > len(who))]
    made[: case.copies] = copied(rng, train[source], case.noise)
    return train, val, made, source


def centred(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True)
class Audited:
    """One audit: what was known before the synthetic images, what was found and what was said."""

    calibration: Calibration
    found: Evaluation
    said: AuditVerdict


def audit(
    case: Case, sets: EmbeddedSets, planted: Planted, seed: int, *, second: bool = False
) -> Audited:
    """Audit rows as `memtk audit --embeddings` does; `second`: what a first audit has left."""
    train, val, made, similarity = sets.training, sets.validation, sets.synthetic, pearson()
    owners = (case.owner(case.n), case.owner(case.v)) if case.several else (np.arange(case.n),)
    people = [owner.tolist() for owner in owners] if case.several else [[], []]
    plants = None
    if len(planted.sources):
        near = search(planted.copies, train, similarity).queries
        seen = TrainingSearch(train, owners[0], similarity)
        further = seen.second(planted.copies, near.index, "planted copies")
        nearest = {MIXED: (near.similarity, near.index)}
        plants = PlantedSimilarity(planted.sources, nearest, {MIXED: further}, given=planted.copies)
    alike = energy_test(centred(train), centred(val), *people, seed=seed)
    whose = Patients(*people, population=alike)
    calibration = calibrate(sets, similarity, whose, plants, seed=seed)
    found = evaluate(sets, sets, calibration, Levels(), seed=seed)
    selftest = self_test(calibration, Levels(), sets, sets, found.arrays)
    counts = {
        "training": Counts(images=len(train), patients=case.n),
        "validation": Counts(images=len(val), patients=case.v if case.several else len(val)),
        "synthetic": Counts(images=len(made), patients=len(made)),
    }
    screened = case.screened if second else None
    said = decide(Policy(), found.evidence, selftest, counts, screened=screened)
    return Audited(calibration, found, said)


def run(case: Case, seed: int) -> dict[str, float]:
    """Audit one draw, and compare what is said with the truth."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, case.v, case.m, case.copies])
    train, val, made, source = draw(case, rng)
    owner = case.owner(case.n)
    first = np.unique(owner, return_index=True)[1]
    sources = first[rng.choice(case.n, min(PLANTED, case.n), replace=False)]
    noise = NOISE if case.shared is None else case.noise
    planted = Planted(copied(rng, train[sources], noise), sources)
    if case.shared is not None:
        return after_release(case, (train, val, made), planted, source, seed)
    one = audit(case, EmbeddedSets(train, val, made), planted, seed)
    evidence, arrays = one.found.evidence, one.found.arrays
    before = copy_rate(*one.calibration.groups(arrays).copies, seed=seed)  # at alpha's threshold
    held = withhold(arrays)[: case.copies]
    row = told(one.found, one.said, source, owner) | {
        "width before": before.high - before.low,
        "covered before": before.low <= case.copies / case.m <= before.high,
        "exposed at least": evidence.exposed.low,
        "exposed at most": evidence.exposed.high,
        "held back": held.mean() if case.copies else np.nan,
    }
    return row if not case.tips else row | tipped(case, one, train, rng)


def tipped(
    case: Case, one: Audited, train: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    """Compare the tipping point with the sensitivity to fresh copies like the generator's."""
    evidence, passed = one.found.evidence, one.said.outcome == "pass"
    fresh = copied(rng, train[rng.integers(len(train), size=1000)], case.noise)
    near = search(fresh, train, pearson()).queries.similarity
    rule, true = evidence.threshold, float((near > evidence.threshold.similarity).mean())
    known = {"sensitivity": rule.sensitivity, "false_positive_rate": rule.false_positive_rate}
    least = tipping_point(evidence.copy_rate_upper_bound, LIMIT, **known)
    wrong = case.copies / case.m > LIMIT and evidence.copy_rate_upper_bound <= LIMIT
    return {
        "true sensitivity": true,
        "s* of passes": least if passed else np.nan,
        "bound too low, true sensitivity >= s*": wrong and true >= least,
        "bound too low, below s*": wrong and true < least,
        "pass too many, true sensitivity >= s*": passed and wrong and true >= least,
        "pass too many, below s*": passed and wrong and true < least,
    }


def after_release(
    case: Case, rows: tuple[np.ndarray, ...], planted: Planted, source: np.ndarray, seed: int
) -> dict[str, float]:
    """Audit by other features what an audit by the first 32 has left; see `memtk release`."""
    train, val, made = rows
    assert case.shared is not None
    eyes, others = slice(D), slice(D - case.shared, 2 * D - case.shared)
    seen = Planted(planted.copies[:, eyes], planted.sources)
    one = audit(case, EmbeddedSets(*(x[:, eyes] for x in rows)), seen, seed)
    arrays, near = one.found.arrays, one.calibration.planted
    assert near is not None
    kept = ~withhold(arrays)
    named = arrays["synthetic_train"][arrays["copies_flagged"]]
    least = named.min() if len(named) and case.filtered else np.inf
    mine, theirs = near.similarity < least, arrays["validation_train"] < least
    left = Planted(planted.copies[mine][:, others], planted.sources[mine])
    sets = EmbeddedSets(*(x[:, others] for x in (train, val[theirs], made[kept])))
    two = audit(case, sets, left, seed + 10**6, second=True)
    source = source[kept[: case.copies]]
    rate = len(source) / kept.sum()
    return {
        "withheld": int((~kept).sum()),
        "copies left": rate,
        "planted left": int(mine.sum()),
        **told(two.found, two.said, source, case.owner(case.n)),
        "pass too many": two.said.outcome == "pass" and rate > LIMIT,
        "bound too low": two.found.evidence.copy_rate_upper_bound <= LIMIT < rate,
    }


def told(
    found: Evaluation, said: AuditVerdict, source: np.ndarray, owner: np.ndarray
) -> dict[str, float]:
    """Compare what was said with the truth.

    Args:
        source: of which training image the first synthetic images are copies; the rest are of
            strangers.
        owner: the patient of each training image, from 0 on.
    """
    e, a, copies = found.evidence, found.arrays, len(source)
    m = len(a["copies_sure"])
    truth, exposed, rate = np.arange(m) < copies, np.unique(owner[source]), e.copy_rate
    right = owner[a["synthetic_train_index"][:copies]] == owner[source]
    named, sure, known = a["copies_flagged"], a["copies_sure"], e.exposed

    def share(rows: np.ndarray) -> float:
        return float((rows[:copies] & right).mean()) if copies else np.nan

    return {
        "pass": said.outcome == "pass",
        "fail": said.outcome == "fail",
        "false sure": bool((sure & ~truth).any()),
        "patient falsely sure": bool(a["exposure_patient_sure"][~np.isin(owner, exposed)].any()),
        "false share": (named & ~truth).sum() / max(named.sum(), 1),
        "sure right": share(sure),
        "named right": share(named),
        "copies L wrong": e.copies.at_least > copies,
        "exposed L wrong": known.low > len(exposed),
        "exposed U wrong": known.high < len(exposed),
        "rate covered": rate.low <= copies / m <= rate.high,
        "bound holds": e.copy_rate_upper_bound >= copies / m,
        "width": rate.high - rate.low,
        "exposed width": (known.high - known.low) / (owner.max() + 1),
    }


def cases(which: str, quick: bool) -> Iterator[Case]:
    every = [(v, ratio * v) for v, ratio in product((20, 36, 60, 100, 200), (1, 4, 16))]
    sizes = [(100, 240)] if quick else every
    for v, m in sizes:
        if which == "null":
            yield Case("nothing", v, m)
        if which == "copies":
            for count in (1, 3, 15, round(0.1 * m)):
                if count < m:
                    yield Case(f"{count} verbatim", v, m, count, 0.0)
                    yield Case(f"{count} altered", v, m, count)
        if which == "unlike" and not quick:
            yield Case("bland from axis 8", v, m, bland=8)
            yield Case("two sites, 1.0 sd", v, m, site=1.0, whose="half")
    if which == "copies":
        yield Case("15 verbatim among 2,000", 100, 2000, 15, 0.0)
    if which == "several":
        yield Case("nothing", 60, 240, n=100, several=True)
        for given, count in product((0, 10, 1), (5, 15)):
            name = f"{count} patients" + (f" of {given} image(s)" if given else "")
            yield Case(name, 60, 240, count, n=100, several=True, given=given)
    if which == "unlike":
        for axis in (16, 8, 4):
            yield Case(f"bland from axis {axis}", 100, 240, bland=axis)
        for shift in (0.5, 1.0, 1.5):
            name = f"validation of another site, {shift} sd"
            yield Case(name, 100, 240, site=shift, whose="validation")
            yield Case(f"two sites, {shift} sd", 100, 240, site=shift, whose="half")
        yield Case("bland from axis 8, 10% copies", 100, 240, 24, bland=8)
    if which == "rare":
        for kind, directions in ((10, D), (4, D), (10, 8), (10, 3), (4, 3)):
            for v, m in ((100, 240), (40, 140)):
                name = f"{kind} of a kind that varies in {directions} directions"
                yield Case(name, v, m, kind=kind, directions=directions)
    if which == "harder":
        for noise, count in product((0.3, 1.2, 1.6, 2.0), (26, 50, 100)):
            yield Case(f"{count} copies, noise {noise}", 200, 500, count, noise, tips=True)
    if which == "release":
        for count, (shared, design, filtered) in product((50, 150), DESIGNS):
            name = f"{count} copies, {shared} of 32 features shared, {design}"
            name += "" if filtered else ", controls not filtered"
            yield Case(
                name, 200, 500, count, 1.15, shared=shared, screened=design, filtered=filtered
            )


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.3f}" if len(values) else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=MODES)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one size: V = 100, M = 240")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    titles: list[str] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for case in cases(options.which, options.quick):
            if options.only not in case.name:
                continue
            rows = list(pool.map(run, [case] * options.runs, range(options.runs), chunksize=10))
            if not titles:
                titles = list(rows[0])
                print("| case | V | M | " + " | ".join(titles) + " |")
                print("|---" * (len(titles) + 3) + "|")
            found = np.array([[float(row[title]) for title in titles] for row in rows])
            cells = " | ".join(_mean(column[~np.isnan(column)]) for column in found.T)
            print(f"| {case.name} | {case.v} | {case.m} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
