"""What differential privacy does to memorization: attacks and exposure, without it and with it.

A small model is overfitted to a few phantoms, once plainly and once for each budget by `dp-sgd`:

    python benchmarks/private.py --epsilon 1 8

Prints a Markdown table. With a small epsilon the attacks' AUC must be at 0.5 and the share of
exposed training images at what chance gives; without it they lie above. Takes some minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.registry import open_registry

ATTACKS = ("denoising-loss", "secmi", "pia", "gan-leaks")


LONG = Path(__file__).with_name("monai2d-long.toml")


def run(registry, folder, args, epsilon):
    steps = args.steps
    sets = [
        f"data.phantom.training={args.patients}",
        f"data.phantom.validation={args.validation}",
        "data.phantom.size=32",
        f"data.phantom.seed={args.seed}",
        f"monai2d.autoencoder.steps={steps // 2}",
        "monai2d.adversarial.steps=0",
        f"monai2d.diffusion.steps={steps}",
        f"monai2d.diffusion.batch_size={args.patients}",
        "embedder.training.batch_size=32",
        "embedder.training.steps=200",
        "embedder.augmentation=strong",
        "embedder.dropout=0.0",
    ]
    asked = {
        "generator": "monai2d",
        "attack": ATTACKS,
        "embedder": "ntxent2d",
        "preset": "demo",
        "checkpoints": 1,
        "seed": args.seed,
    }
    if epsilon is not None:
        asked["mitigation"] = "dp-sgd"
        sets += [f"dp-sgd.epsilon={epsilon}", "dp-sgd.reproducible=true"]
    recipe = read_recipe(registry, asked, suite="phantom2d", config=LONG, sets=sets)
    return run_bench(make_plan(recipe, registry), registry, out=folder, device="cpu").results[0]


def row(result, name):
    found = result.last.evidence
    cells = [name, f"{found.reference_n_mem} of {result.used_training.images}"]
    cells.append(f"{100 * result.last.protocols['conformal']['exposed'].value:.0f}%")
    for attack in ATTACKS:
        auc = result.membership[attack].auc
        cells.append(f"{auc.estimate:.2f} ({auc.low:.2f}-{auc.high:.2f})")
    noise = f"{result.privacy.noise_multiplier:.2f}" if result.privacy else "-"
    return [*cells, noise, f"{result.training_seconds:.0f} s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 8.0])
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--validation", type=int, default=60)
    parser.add_argument("--steps", type=int, default=800, help="of the diffusion model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keeps the run folders")
    args = parser.parse_args()
    registry = open_registry()
    titles = ["epsilon", "n_mem", "exposed, p <= 0.05", *(f"AUC {a}" for a in ATTACKS)]
    titles += ["noise", "training"]
    print(f"| {' | '.join(titles)} |")
    print(f"|{'---|' * len(titles)}")
    with tempfile.TemporaryDirectory() as temporary:
        home = args.out or Path(temporary)
        for epsilon in (None, *args.epsilon):
            name = "none" if epsilon is None else f"{epsilon:g}"
            result = run(registry, home / f"epsilon-{name}", args, epsilon)
            print(f"| {' | '.join(row(result, name))} |", flush=True)


if __name__ == "__main__":
    main()
