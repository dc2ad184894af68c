"""Copy detectors that train until they see, beside a fixed number of steps, on real patients.

    MEMTK_DATA=... python benchmarks/speed/early_end.py --splits 0 1             # some minutes
    MEMTK_DATA=... python benchmarks/speed/early_end.py --splits 0 1 --data hippocampus

The preset `audit` as it is, and as it was before: 700 (240 in 3D) steps of a one-cycle rate without
averages. Both are shown the same altered copies of their training images, other ones than those
that they trained with, and all other patients.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from real_truth import Lab, patients

from memtk.evaluation import PlantedImages
from memtk.imaging.augmentation import mixed
from memtk.noise import derive, seeded
from memtk.training.inference import embed
from memtk.training.loop import train

BEFORE = {"schedule": "one-cycle", "ema_decay": 0.0, "enough": 0.0}
STEPS = {"chest": 700, "hippocampus": 240}
COPIES = 500


def trained(lab, images, changes):
    """Train a detector; return what embeds, the steps it took and the seconds of the processor."""
    preset = lab.embedder.presets["audit"]
    config = {**preset, "training": {**preset["training"], **changes}}
    seed = derive(lab.seed, "early end")
    with seeded(seed):
        model = lab.embedder(lab.embedder.Config.model_validate(config), lab.spec)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        done = train(model, images, seed=seed, folder=Path(folder), devices=lab.devices)
    steps = done.losses["training"][-1][0]
    spent = time.process_time() - begun
    return lambda sets: embed(model, sets, batch_size=64, devices=lab.devices), steps, spent


def nearness(rows, others):
    """Return Fisher's z of the correlation of each row with each other one."""
    rows, others = (x - x.mean(1, keepdims=True) for x in (rows, others))
    rows, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, others))
    return np.arctanh(np.clip(rows @ others.T, -1, 1 - 1e-7))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, nargs="+", default=[0])
    parser.add_argument("--data", choices=list(STEPS), default="chest")
    asked = parser.parse_args()
    everyone = patients(asked.data)
    print(
        "| split | detector | steps | seconds of the processor | copies nearer than every stranger "
        "| weakest in 100 copies, deviations from strangers |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for split in asked.splits:
        lab = Lab(everyone, split, STEPS[asked.data], "audit", asked.data)
        training, strangers = lab.part(0, lab.size), lab.part(lab.size, len(lab.x) - lab.size)
        of = np.arange(COPIES) % lab.size
        copies = PlantedImages(training, of, mixed, derive(split, "copies"))
        ways = {"until it sees": {}, "as before": BEFORE | {"steps": STEPS[asked.data]}}
        for name, changes in ways.items():
            see, steps, spent = trained(lab, training, changes)
            own = nearness(see(copies), see(training))[np.arange(COPIES), of]
            near = nearness(see(strangers), see(training)).max(1)
            weakest = (np.quantile(own, 0.01) - near.mean()) / near.std()
            beyond = f"{100 * (own > near.max()).mean():.1f}%"
            cells = split, name, steps, f"{spent:.0f}", beyond, f"{weakest:.1f}"
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
