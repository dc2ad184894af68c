"""Lower bounds on epsilon from one run, where the truth is known.

Randomised response tells each canary's coin rightly with probability e^eps / (1 + e^eps), and is
eps-differentially private to the letter: how often does the bound lie above eps? And phantoms: a
generator that learns from nobody, one that gives its training images back, and a private training.

    python benchmarks/epsilon.py
    python benchmarks/epsilon.py --runs 20 --private 8

Prints Markdown tables. The first takes seconds, the others some minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.special import expit

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.memorization import epsilon_lower_bound, guesses_for
from memtk.registry import open_registry

CONTROLS = ("independent", "copycat")


def randomised_response(epsilon, canaries, guesses, repeats):
    """Return the bounds of so many repeats."""
    bounds = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        took_part = rng.random(canaries) < 0.5
        told = took_part == (rng.random(canaries) < expit(epsilon))
        bounds.append(
            epsilon_lower_bound(told + rng.random(canaries) / 2, took_part, guesses=guesses)
        )
    return np.array(bounds)


LONG = Path(__file__).with_name("monai2d-long.toml")


def bench(registry, folder, args, seed, config=None, **asked):
    """Return the results of a run with canaries, by cell."""
    sets = [
        f"data.phantom.training={args.patients}",
        f"data.phantom.validation={args.patients}",
        f"data.phantom.held_out={args.patients}",
        f"data.phantom.seed={seed}",
        "data.phantom.size=32",
        "bench.plants=0",
        *asked.pop("sets", ()),
    ]
    options = {
        "attack": ("gan-leaks",),
        "canaries": args.patients,
        "checkpoints": 1,
        "preset": "smoke",
        "seed": seed,
        "similarity": "ncc",
        **asked,
    }
    recipe = read_recipe(registry, options, suite="phantom2d", config=config, sets=sets)
    run = run_bench(make_plan(recipe, registry), registry, out=folder, device="cpu")
    return {result.cell: result for result in run.results}


def private(registry, folder, args, epsilon):
    """Return the result of a small diffusion model that is overfitted, privately or plainly."""
    sets = [
        f"monai2d.autoencoder.steps={args.steps // 2}",
        "monai2d.adversarial.steps=0",
        f"monai2d.diffusion.steps={args.steps}",
        f"monai2d.diffusion.batch_size={args.patients // 2}",
    ]
    asked = {"generator": ("monai2d",), "preset": "demo"}
    asked["attack"] = ("gan-leaks", "denoising-loss", "pia")
    if epsilon is not None:
        asked["mitigation"] = ("dp-sgd",)
        sets += [f"dp-sgd.epsilon={epsilon}", "dp-sgd.reproducible=true"]
    return next(iter(bench(registry, folder, args, 0, LONG, sets=sets, **asked).values()))


def table(*titles):
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")


def line(*cells):
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000, help="of randomised response")
    parser.add_argument("--canaries", type=int, default=200, help="of randomised response")
    parser.add_argument("--runs", type=int, default=0, help="of the controls on phantoms")
    parser.add_argument("--patients", type=int, default=64, help="phantoms, all of them canaries")
    parser.add_argument(
        "--private", type=float, nargs="*", help="train plainly, and with these budgets of dp-sgd"
    )
    parser.add_argument("--steps", type=int, default=400, help="of the diffusion model")
    args = parser.parse_args()
    table("randomised response, epsilon", "guesses", "P(bound > epsilon)", "median bound")
    for epsilon in (0.5, 1.0, 2.0):
        for guesses in ((args.canaries,), guesses_for(args.canaries)):
            bounds = randomised_response(epsilon, args.canaries, guesses, args.repeats)
            tried = ", ".join(map(str, guesses))
            line(epsilon, tried, f"{np.mean(bounds > epsilon):.3f}", f"{np.median(bounds):.2f}")
    registry = open_registry()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        if args.runs:
            table("generator", "runs", "median bound", "least", "most", "largest possible")
            runs = [
                bench(registry, home / f"{s}", args, s, generator=CONTROLS)
                for s in range(args.runs)
            ]
            for name in CONTROLS:
                found = [run[name].membership["gan-leaks"].epsilon for run in runs]
                low = np.array([each.low for each in found])
                ends = (f"{x:.2f}" for x in (np.median(low), low.min(), low.max()))
                line(name, args.runs, *ends, f"{found[0].largest:.2f}")
        if args.private is not None:
            table("dp-sgd", "accountant", "attack", "AUC", "epsilon at least", "guesses right")
            for budget in (None, *args.private):
                result = private(registry, home / f"private-{budget}", args, budget)
                claimed = f"{result.privacy.epsilon:.2f}" if result.privacy else "–"
                for name, m in result.membership.items():
                    right = ", ".join(f"{g.right} of {g.count}" for g in m.epsilon.tried)
                    auc, low = f"{m.auc.estimate:.2f}", f"{m.epsilon.low:.2f}"
                    line(budget or "none", claimed, name, auc, low, right)


if __name__ == "__main__":
    main()
