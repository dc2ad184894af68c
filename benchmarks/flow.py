"""Diffusion and rectified flow on the latents of one autoencoder: which gives back more images?

    python benchmarks/flow.py --seeds 0 1 --steps 2500 --out runs/flow     # 4 minutes of a core

`monai2d` by `monai2d-long.toml` on 64 phantoms of 32 x 32: the autoencoder is trained once, then
for each seed one U-Net as a diffusion and one as a rectified flow, from the same weights, for
`--steps` steps of 16 images, on the first `--patients` of the training images. 64 samples of each
are audited by `ncc`, which needs no embedder. Prints a row each: the reference rule (by chance 5%
of the training images), the copy rate, and the spread of the samples at each pixel, as a share of
that of real ones. `--autoencoder` takes the state of a finished or stopped bench of the same data
in place of training one.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import torch

import memtk
from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.job import TrainingOptions
from memtk.training.loop import train

LONG = tomllib.loads(Path(__file__).with_name("monai2d-long.toml").read_text())["monai2d"]

HEAD = (
    "| process | seed | dar n_mem | copy rate | interval | exposed | spread, real = 1 |\n"
    "|---|---|---|---|---|---|---|"
)


def model(cls, spec, phases, asked):
    """Return the generator with some of its phases alone; the U-Net starts as it does elsewhere."""
    torch.manual_seed(0)
    made = cls(build(cls.Config, cls.presets["demo"], LONG, asked), spec)
    kept = tuple(phase for phase in made.phases() if phase.name in phases)
    made.phases = lambda: kept
    return made


def reference_rule(real, strangers, drawn):
    """Return n_mem of Dar et al. by normalised cross-correlation."""

    def alike(x, y):
        x, y = (v.flatten(1) - v.flatten(1).mean(1, keepdim=True) for v in (x, y))
        return torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T

    threshold = alike(real, strangers).amax(1).quantile(0.95)
    return int((alike(real, drawn).amax(1) > threshold).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("runs/flow"))
    parser.add_argument("--autoencoder", type=Path, metavar="state.pt")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    registry, devices = open_registry(), open_devices(asked.device)
    sizes = {"size": 32, "training": 64, "validation": 64}
    data = build(DataConfig, {"source": "phantom2d", "phantom": sizes})
    images = prepare(data, asked.out / "data", registry)
    real, strangers = images.split("training"), images.split("validation")
    cls = registry.find("generator", "monai2d").load()
    options = TrainingOptions(save_every=100)
    first = model(cls, images.spec, ("autoencoder", "adversarial"), {})
    if asked.autoencoder:
        state = torch.load(asked.autoencoder, weights_only=True, map_location="cpu")["model"]
        own = {k.removeprefix("autoencoder."): v for k, v in state.items()}
        first.autoencoder.load_state_dict({k: own[k] for k in first.autoencoder.state_dict()})
    else:
        folder = asked.out / "autoencoder"
        train(first, real, seed=0, folder=folder, devices=devices, options=options)
    few = real.subset(range(asked.patients))
    print(HEAD)
    for seed in asked.seeds:
        for process in ("diffusion", "rectified-flow"):
            settings = {"process": process, "diffusion": {"steps": asked.steps, "batch_size": 16}}
            made = model(cls, images.spec, ("diffusion",), settings)
            made.autoencoder.load_state_dict(first.autoencoder.state_dict())
            folder = asked.out / f"{process}-{seed}"
            train(made, few, seed=seed, folder=folder, devices=devices, options=options)
            with torch.no_grad():
                drawn = made.eval().sample(Noise(seed, range(64)))
            train_images, others = (x.read(range(len(x))) for x in (few, strangers))
            found = memtk.audit(
                train_images, others, drawn, similarity="ncc", out=folder / "audit", progress=False
            )
            low, high = found.copy_rate_interval
            exposed = "{} to {}".format(*found.exposed_patients)
            n_mem = reference_rule(train_images, others, drawn)
            spread = float(drawn.std(0).mean() / train_images.std(0).mean())
            print(
                f"| {process} | {seed} | {n_mem} of {len(few)} | {found.copy_rate:.0%} | "
                f"{low:.0%} to {high:.0%} | {exposed} of {len(few)} | {spread:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
