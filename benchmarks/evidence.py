"""Known truth, many times: what an audit of embeddings says where it is known what was memorized.

Patients are Gaussian (32 numbers, one image each, compared by Pearson's correlation), so that a
run takes a second: names, bounds, intervals and verdicts are counted against the truth. Rates that
should be at most 5 % are shown with the runs they rest on.

    python benchmarks/evidence.py null --runs 200            # nothing memorized, sizes V and M
    python benchmarks/evidence.py copies --runs 200          # 1, 3, 15 copies and 10 %
    python benchmarks/evidence.py unlike --runs 200          # bland generators, other sites
    python benchmarks/evidence.py rare --runs 200            # a kind that no validation patient is
    python benchmarks/evidence.py harder --runs 200          # copies harder than the planted ones

Prints a Markdown table; `--workers` processes share the runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from memtk.evaluation import (
    MIXED,
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
from memtk.memorization import energy_test, search
from memtk.registry import open_registry
from memtk.results import Counts, Policy, Verdict, decide

D, PLANTED, NOISE = 32, 100, 0.3
DECAY = np.arange(1, D + 1) ** -0.5  # of the axes' spread, as of embeddings of images


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


def copied(rng: np.random.Generator, rows: np.ndarray, noise: float) -> np.ndarray:
    """Return rows with noise of `noise` times their own length."""
    extra = rng.normal(size=rows.shape)
    extra *= np.linalg.norm(rows, axis=1, keepdims=True) / np.linalg.norm(
        extra, axis=1, keepdims=True
    )
    return rows + noise * extra


def draw(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return training, validation and synthetic rows, and of which image each copy is."""
    spread = DECAY if case.bland is not None or case.whose else np.ones(D)
    train, val, made = (rng.normal(size=(n, D)) * spread for n in (case.n, case.v, case.m))
    away = case.site * spread * np.random.default_rng(0).choice([-1, 1], D)
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
    source = rng.choice(case.n, case.copies, replace=case.copies > case.n)
    made[: case.copies] = copied(rng, train[source], case.noise)
    return train, val, made, source


def centred(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run(case: Case, seed: int) -> dict[str, float]:
    """Audit one draw, and compare what is said with the truth."""
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, case.v, case.m, case.copies])
    train, val, made, source = draw(case, rng)
    planted = rng.choice(case.n, min(PLANTED, case.n), replace=False)
    copies, similarity = (
        copied(rng, train[planted], NOISE),
        open_registry().load("similarity", "pearson")(),
    )
    near = search(copies, train, similarity).queries
    seen = TrainingSearch(train, np.arange(case.n), similarity)
    second = seen.second(copies, near.index, "planted copies")
    nearest = {MIXED: (near.similarity, near.index)}
    plants = PlantedSimilarity(planted, nearest, {MIXED: second}, given=copies)
    sets = EmbeddedSets(train, val, made)
    alike = energy_test(centred(train), centred(val), seed=seed)
    calibration = calibrate(sets, similarity, Patients(population=alike), plants, seed=seed)
    found = evaluate(sets, sets, calibration, Levels(), seed=seed)
    selftest = self_test(calibration, Levels(), sets, sets, found.arrays)
    sizes = {"training": case.n, "validation": case.v, "synthetic": case.m}
    counts = {name: Counts(images=size, patients=size) for name, size in sizes.items()}
    said = decide(Policy(), found.evidence, selftest, counts)
    return told(found, said, source, case.n)


def told(found: Evaluation, said: Verdict, source: np.ndarray, n: int) -> dict[str, float]:
    """Compare what was said with the truth.

    Args:
        source: of which training image the first synthetic images are copies; the rest are of
            strangers, and every image of another patient.
        n: training images.
    """
    e, a, copies = found.evidence, found.arrays, len(source)
    m = len(a["copies_sure"])
    truth, exposed, rate = np.arange(m) < copies, len(set(source.tolist())), e.copy_rate
    right = a["synthetic_train_index"][:copies] == source
    named, sure, known = a["copies_flagged"], a["copies_sure"], e.exposed

    def share(rows: np.ndarray) -> float:
        return float((rows[:copies] & right).mean()) if copies else np.nan

    return {
        "pass": said.outcome == "pass",
        "fail": said.outcome == "fail",
        "false sure": bool((sure & ~truth).any()),
        "patient falsely sure": bool(np.delete(a["exposure_patient_sure"], source).any()),
        "false share": (named & ~truth).sum() / max(named.sum(), 1),
        "sure right": share(sure),
        "named right": share(named),
        "copies L wrong": e.copies.at_least > copies,
        "exposed L wrong": known.low > exposed,
        "exposed U wrong": known.high < exposed,
        "rate covered": rate.low <= copies / m <= rate.high,
        "bound holds": e.copy_rate_upper_bound >= copies / m,
        "width": rate.high - rate.low,
        "exposed width": (known.high - known.low) / n,
    }


def cases(which: str, quick: bool) -> Iterator[Case]:
    sizes = (
        [(100, 240)] if quick else [(v, r * v) for v in (20, 36, 60, 100, 200) for r in (1, 4, 16)]
    )
    for v, m in sizes:
        if which == "null":
            yield Case("nothing", v, m)
        if which == "copies":
            for count in (1, 3, 15, round(0.1 * m)):
                if count < m:
                    yield Case(f"{count} verbatim", v, m, count, 0.0)
                    yield Case(f"{count} altered", v, m, count)
    if which == "unlike":
        for axis in (16, 8, 4):
            yield Case(f"bland from axis {axis}", 100, 240, bland=axis)
        for shift in (0.5, 1.0, 1.5):
            yield Case(
                f"validation of another site, {shift} sd", 100, 240, site=shift, whose="validation"
            )
            yield Case(f"two sites, {shift} sd", 100, 240, site=shift, whose="half")
        yield Case("bland from axis 8, 10 % copies", 100, 240, 24, bland=8)
    if which == "rare":
        for kind, directions in ((10, D), (4, D), (10, 8), (10, 3), (4, 3)):
            for v, m in ((100, 240), (40, 140)):
                name = f"{kind} of a kind that varies in {directions} directions"
                yield Case(name, v, m, kind=kind, directions=directions)
    if which == "harder":
        for noise in (0.3, 1.2, 1.6, 2.0):
            for share in (0.05, 0.1, 0.2):
                yield Case(
                    f"{share:.0%} copies, noise {noise}", 200, 500, round(share * 500), noise
                )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=("null", "copies", "unlike", "rare", "harder"))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one size: V = 100, M = 240")
    options = parser.parse_args()
    titles: list[str] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for case in cases(options.which, options.quick):
            rows = list(pool.map(run, [case] * options.runs, range(options.runs), chunksize=10))
            if not titles:
                titles = list(rows[0])
                print("| case | V | M | " + " | ".join(titles) + " |")
                print("|---" * (len(titles) + 3) + "|")
            means = [np.mean([float(row[title]) for row in rows]) for title in titles]
            cells = " | ".join("" if np.isnan(x) else f"{x:.3f}" for x in means)
            print(f"| {case.name} | {case.v} | {case.m} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
