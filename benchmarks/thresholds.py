"""Would a threshold beyond all strangers make the copy rate's interval shorter, and at what price?

The threshold is one of the strangers' (`memtk.memorization.best_threshold`). With few of them, one
as far beyond as the nearest of 200 would be, by the model of their tail, is as valid: no stranger
lies above it. Both are tried on the same draws of benchmarks/evidence.py: how wide the interval is
where the generator's copies are as easy as the planted ones (noise 0.3), and what is left of it
where they are harder.

    python benchmarks/thresholds.py --runs 25

Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from unittest.mock import patch

import numpy as np
from evidence import NOISE, PLANTED, Case, Planted, audit, copied, draw, pearson

from memtk.evaluation import EmbeddedSets
from memtk.memorization import PatientGroup, best_threshold, search, tail_test

AS_MANY = 200
CASES = ((0, NOISE), (0.1, NOISE), (0.1, 0.9), (0.1, 1.2), (0.3, 1.2))
"""Share of copies, and their noise."""


def beyond(strangers: PatientGroup, planted: PatientGroup, tested: int, **options: float) -> float:
    """Return the similarity that one of 200 strangers passes by the model of their tail.

    If it lies below the median of the planted copies, and there is a model; the usual one else.
    """
    top, middle = strangers.similarity.max(), np.median(planted.similarity)
    places = np.linspace(top, middle, 40)[1:]
    p = tail_test(PatientGroup(places), strangers).p
    passed = places[(p <= 1 / (AS_MANY + 1)) & (places > top)]
    return (
        float(passed[0]) if len(passed) else best_threshold(strangers, planted, tested, **options)
    )


def run(case: Case, seed: int) -> list[float]:
    """Return what became of one audit: covered, bound holds, width, pass, true sensitivity."""
    rng = np.random.default_rng([seed, case.v, case.m, case.copies])
    train, val, made, _ = draw(case, rng)
    sources = rng.choice(case.n, min(PLANTED, case.n), replace=False)
    planted = Planted(copied(rng, train[sources], NOISE), sources)
    one = audit(case, EmbeddedSets(train, val, made), planted, seed)
    found, truth = one.found.evidence, case.copies / case.m
    assert found.copy_rate and found.threshold and found.copy_rate_upper_bound is not None
    fresh = copied(rng, train[rng.integers(len(train), size=300)], case.noise)
    near = search(fresh, train, pearson()).queries.similarity
    return [
        found.copy_rate.low <= truth <= found.copy_rate.high,
        found.copy_rate_upper_bound >= truth,
        found.copy_rate.high - found.copy_rate.low,
        one.said.outcome == "pass",
        float((near > found.threshold.similarity).mean()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=25)
    options = parser.parse_args()
    print("| V | M | copies | noise | threshold | covered | bound holds | width | pass | sees |")
    print("|---" * 10 + "|")
    for v, m in ((20, 80), (36, 144)):
        for share, noise in CASES:
            case = Case("", v, m, round(share * m), noise)
            for name, rule in (("of the strangers", best_threshold), ("beyond", beyond)):
                with patch("memtk.evaluation.statistics.best_threshold", rule):
                    rows = np.array([run(case, seed) for seed in range(options.runs)], dtype=float)
                cells = " | ".join(f"{value:.3f}" for value in rows.mean(0))
                print(f"| {v} | {m} | {case.copies} | {noise} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
