"""Would weighted conformal p-values mend what a second site spoils? Patients of two sites.

Half of the training patients and of the synthetic images are of site B, and nothing is memorized:
5% of the training patients should have p <= 0.05, and 1% p <= 0.01. Of the validation patients
another share is of site B. The weights (`memtk.memorization.likelihood_ratios`) come from the site,
where it is known, or from the rows, as they would have to in an audit without such a column. "ess":
the effective number of validation patients, (sum w)^2 / sum w^2.

    python benchmarks/weights.py --runs 200

Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from evidence import D, pearson

from memtk.memorization import PatientGroup, likelihood_ratios, search, weighted_p_values

N, M = 200, 240
WEIGHTS = ("none", "by site", "by rows")
CASES = (
    ("one population", 0.5, 0.0),
    ("site B is 20% of the validation patients", 0.2, 1.0),
    ("site B is 5%", 0.05, 1.0),
    ("site B is not there", 0.0, 1.0),
)
"""Name, share of site B among the validation patients, standard deviations that it lies apart."""


def run(share: float, sd: float, v: int, seed: int) -> list[float]:
    """Return of each kind of weights: p <= 0.05, p <= 0.01, effective validation patients."""
    rng = np.random.default_rng([seed, v])
    away = sd * np.random.default_rng(0).choice([-1, 1], D)
    sites = [np.arange(n) < round(part * n) for n, part in ((N, 0.5), (v, share), (M, 0.5))]
    training, validation, made = (rng.normal(size=(len(s), D)) + s[:, None] * away for s in sites)
    near = [search(rows, made, pearson()).queries.similarity for rows in (training, validation)]
    groups = PatientGroup(near[0]), PatientGroup(near[1])
    found = []
    for kind in WEIGHTS:
        weights = np.ones(N), np.ones(v)
        if kind == "by site":
            weights = likelihood_ratios(sites[0][:, None], sites[1][:, None], seed=seed)
        if kind == "by rows":
            weights = likelihood_ratios(training, validation, seed=seed)
        p, w = weighted_p_values(*groups, weights), weights[1]
        found += [(p <= 0.05).mean(), (p <= 0.01).mean(), w.sum() ** 2 / (w**2).sum()]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    print(
        "| validation patients | V | weights | p <= 0.05 | p <= 0.01 | ess |\n" + "|---" * 6 + "|"
    )
    for (name, share, sd), v in product(CASES, (60, 200)):
        rows = np.array([run(share, sd, v, seed) for seed in range(options.runs)])
        for kind, (five, one, ess) in zip(WEIGHTS, rows.mean(0).reshape(-1, 3), strict=True):
            print(f"| {name} | {v} | {kind} | {five:.3f} | {one:.3f} | {ess:.0f} |", flush=True)


if __name__ == "__main__":
    main()
