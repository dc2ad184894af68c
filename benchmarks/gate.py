"""What level the gate takes: two sites that lie little apart, where nothing was memorized.

Each audit of benchmarks/evidence.py is judged as if training and validation patients were one
population, and beside it stands the p-value of the test that says whether they are. So one run
tells what every level of the gate would have stopped, and what would have failed all the same.

    python benchmarks/gate.py --runs 40

Prints a Markdown table; `--workers` processes share the runs.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import evidence
import numpy as np
from evidence import Case, run

from memtk.memorization import Exchangeability, energy_test

LEVELS = (0.05, 0.01, 0.0)
NEAR, FAR = (0.1, 0.15, 0.2, 0.3, 0.4), (0.3, 0.4, 0.5, 0.6)
SHIFTS = {
    (20, 80): sorted({*NEAR, *FAR}),
    (36, 144): FAR,
    (60, 240): NEAR,
    (100, 400): NEAR,
    (200, 200): NEAR,
}
"""Standard deviations that the sites lie apart, by V and M."""


def judged(case: Case, seed: int) -> tuple[float, bool]:
    """Return the p-value of the gate, and whether the audit fails without one."""
    found: list[float] = []

    def seen(*rows: np.ndarray, seed: int) -> Exchangeability:
        found.append(energy_test(*rows, seed=seed).p)
        return Exchangeability(1.0, 0.0)

    evidence.energy_test = seen  # type: ignore[assignment]
    said = run(case, seed)
    return found[0], bool(said["fail"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    titles = ["V", "M", "sd apart", "who", "runs", *(f"p <= {a:g}; else fail" for a in LEVELS)]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    with ProcessPoolExecutor(options.workers) as pool:
        cells = ((v, m, shift) for (v, m), shifts in SHIFTS.items() for shift in shifts)
        for (v, m, shift), whose in product(cells, ("validation", "half")):
            case = Case(f"{whose} {shift}", v, m, site=shift, whose=whose)
            rows = pool.map(judged, [case] * options.runs, range(options.runs))
            p, fail = np.array(list(rows), dtype=float).T
            shares = [f"{(p <= a).mean():.3f}; {(fail * (p > a)).mean():.3f}" for a in LEVELS]
            row = [v, m, shift, whose, len(p), *shares]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
