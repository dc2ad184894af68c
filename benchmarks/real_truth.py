"""Known truth on real patients: chest X-rays of strangers, and planted copies, in the role of
synthetic images.

    MEMTK_DATA=... python benchmarks/real_truth.py null --splits 30
    MEMTK_DATA=... python benchmarks/real_truth.py wrong --splits 12 --preset demo --steps 400
    MEMTK_DATA=... python benchmarks/real_truth.py rates --splits 30

`null`: held-out patients play the synthetic images, at M/V of 1, 4 and 16: nothing was memorized,
and each protocol's share of flagged images should be its null. `wrong`: the same with embedders
that saw the wrong side, or both, to show why they must not; the longer they are trained, and the
less their training generalises, the worse. `rates`: 1, 5, 20 and 50 % of them are planted
copies of training images; the interval of the copy rate should hold the truth. One image of each
patient, drawn anew at each split; a trained embedder for each split and side. Results are added to
FILE.jsonl split by split, so that a run that was stopped goes on; the table is printed from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from skimage.io import imread
from skimage.transform import resize

from memtk.data.images import MemoryImages
from memtk.evaluation import (
    MIXED,
    EmbeddedSets,
    Levels,
    Patients,
    PlantedImages,
    PlantedSimilarity,
    calibrate,
    evaluate,
)
from memtk.imaging.augmentation import mixed
from memtk.imaging.intensity import PercentileScaling
from memtk.interfaces import ImageSpec
from memtk.memorization import expected_fraction, search
from memtk.noise import derive, seeded
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.inference import embed
from memtk.training.job import TrainingOptions
from memtk.training.loop import train

SIDE = 64
TRAINING = 180
RATIOS = {1: (99, 99), 4: (59, 236), 16: (19, 304)}
"""M/V: (V, M). V + 1 is a multiple of 20, so that 5 % can be reached exactly."""
RATES = (0.0, 0.01, 0.05, 0.2, 0.5)
PLANTED = (99, 200)
"""V and M where copies are planted."""
COLUMNS = ("dar n_mem", "dar n_copies", "dar-matched", "conformal copies", "conformal exposure")


def patients():
    """Every image by patient: of both sets of chest X-rays, 605 patients."""
    root, found = Path(os.environ["MEMTK_DATA"]), defaultdict(list)
    for folder in ("chest_xray_64", "chest_xray_256"):
        with open(root / folder / "manifest.csv", newline="") as file:
            for row in csv.DictReader(file):
                found[row["patient_id"]].append(root / folder / row["path"])
    return [sorted(paths, key=str) for _, paths in sorted(found.items())]


def picture(path, scale=PercentileScaling()):  # noqa: B008
    voxels = imread(path, as_gray=True).astype(np.float64)
    if voxels.shape != (SIDE, SIDE):
        voxels = resize(voxels, (SIDE, SIDE), order=1, anti_aliasing=True)
    return scale(voxels[None], path.name)


class Lab:
    """One random split of the patients, and embedders trained on parts of it."""

    def __init__(self, everyone, seed, steps, preset):
        self.rng = np.random.default_rng(derive(seed, "split"))
        self.seed, self.steps, self.preset = seed, steps, preset
        chosen = [paths[self.rng.integers(len(paths))] for paths in everyone]
        order = self.rng.permutation(len(chosen))
        self.x = torch.from_numpy(np.stack([picture(chosen[i]) for i in order]))  # (P, 1, H, W)
        self.devices = open_devices("cpu")
        registry = open_registry()
        self.embedder = registry.find("embedder", "ntxent2d").load()
        self.similarity = registry.load("similarity", "pearson")()

    def part(self, start, count):
        assert start + count <= len(self.x), f"{start} + {count} of {len(self.x)} patients"
        return MemoryImages(self.x[start : start + count])

    def trained(self, images, name):
        preset = dict(self.embedder.presets[self.preset])
        preset["training"] = {**preset["training"], "steps": self.steps}
        spec = ImageSpec((SIDE, SIDE))
        seed = derive(self.seed, name)
        with seeded(seed):
            model = self.embedder(self.embedder.Config.model_validate(preset), spec)
        with tempfile.TemporaryDirectory() as folder:
            train(
                model,
                images,
                seed=seed,
                folder=Path(folder),
                devices=self.devices,
                options=TrainingOptions(name=name),
            )
        return lambda sets: embed(model, sets, batch_size=64, devices=self.devices)

    def judged(self, copies, exposure, found=None):
        sets = EmbeddedSets(*copies)
        planted = None
        if found is not None:
            planted = PlantedSimilarity(np.arange(len(found)), {MIXED: (found, found)})
        calibration = calibrate(sets, self.similarity, Patients(), planted, seed=self.seed)
        other = EmbeddedSets(*exposure) if exposure else None
        protocols = open_registry().entries("protocol")
        return evaluate(sets, other, calibration, Levels(), protocols=protocols, seed=self.seed)


def shares(said):
    tests, matched = said.tests, said.protocols["dar-matched"]["n_mem"]
    return [
        tests.dar.mem_fraction,
        tests.dar.copy_fraction,
        matched.value,
        said.protocols["conformal"]["copies"].value,
        said.protocols["conformal"]["exposed"].value if tests.exposure else None,
    ]


def null(lab):
    """Shares by ratio and by what the embedders saw."""
    training = lab.part(0, TRAINING)
    right = lab.trained(training, "training")
    found = {}
    for ratio, (v, m) in RATIOS.items():
        validation, fake = lab.part(TRAINING, v), lab.part(TRAINING + v, m)
        sets = (training, validation, fake)
        other = lab.trained(fake, f"synthetic {ratio}")
        seen, unseen = [right(s) for s in sets], [other(s) for s in sets]
        found[f"{ratio}: as it should be"] = shares(lab.judged(seen, unseen))
    return found


def wrong(lab):
    """Shares at M/V = 4 by what the embedders saw."""
    v, m = RATIOS[4]
    parts = ((0, TRAINING), (TRAINING, v), (TRAINING + v, m))
    sets = training, validation, fake = tuple(lab.part(*part) for part in parts)
    right, other = lab.trained(training, "training"), lab.trained(fake, "synthetic")
    pooled = lab.trained(MemoryImages(torch.cat([training.x, validation.x])), "pooled")
    seen, unseen, both = ([see(s) for s in sets] for see in (right, other, pooled))
    return {
        "4: as it should be": shares(lab.judged(seen, unseen)),
        "4: sides exchanged": shares(lab.judged(unseen, seen)),
        "4: both trained on training and validation": shares(lab.judged(both, both)),
    }


def rates(lab):
    """Estimate, interval and bound of the copy rate by planted share."""
    v, m = PLANTED
    training, validation = lab.part(0, TRAINING), lab.part(TRAINING, v)
    strangers = lab.part(TRAINING + v, m)
    see = lab.trained(training, "training")
    seen = [see(training), see(validation), see(strangers)]
    tested = PlantedImages(training, range(100), mixed, derive(lab.seed, "self-test"))
    sensed = search(see(tested), seen[0], lab.similarity).queries.similarity
    found = {}
    for rate in RATES:
        count = round(rate * m)
        sources = lab.rng.choice(TRAINING, count, replace=False).tolist()
        planted = seen[2][:0]
        if sources:
            made = PlantedImages(training, sources, mixed, derive(lab.seed, "planted", rate))
            planted = see(made)
        fake = np.concatenate([planted, seen[2][: m - count]])
        said = lab.judged((seen[0], seen[1], fake), None, sensed)
        test, flagged = said.evidence, said.arrays["copies_flagged"]
        nearest = said.arrays["synthetic_train_index"][:count]
        right = (nearest == np.array(sources))[flagged[:count]]
        found[str(rate)] = {
            "estimate": test.copy_rate.estimate,
            "low": test.copy_rate.low,
            "high": test.copy_rate.high,
            "bound": test.copy_rate_upper_bound,
            "sure": int(said.arrays["copies_sure"][:count].sum()),
            "false sure": int(said.arrays["copies_sure"][count:].sum()),
            "least": test.copies.at_least,
            "found": int(flagged[:count].sum()),
            "planted": count,
            "false": int(flagged[count:].sum()),
            "right": int(right.sum()),
        }
    return found


def show_null(lines):
    print("| M/V | embedders | splits | " + " | ".join(COLUMNS) + " | null of dar |")
    print("|" + "---|" * (len(COLUMNS) + 4))
    for case in lines[0]:
        rows = np.array([line[case] for line in lines], dtype=float)
        ratio, _, what = case.partition(": ")
        v, m = RATIOS[int(ratio)]
        cells = [
            f"{mean:.1f} ± {error:.1f}"
            for mean, error in zip(
                100 * rows.mean(0), 100 * rows.std(0, ddof=1) / len(rows) ** 0.5, strict=True
            )
        ]
        expected = 100 * expected_fraction(m, v)
        print(
            f"| {ratio} ({m}/{v}) | {what} | {len(rows)} | "
            + " | ".join(cells)
            + f" | {expected:.1f} |"
        )


def show_rates(lines):
    print(
        "| planted | splits | mean estimate | interval covers | mean interval | bound holds | "
        "sure of planted | any sure wrongly | named of planted | named wrongly | right image | "
        "at least too many |"
    )
    print("|" + "---|" * 12)
    for rate in lines[0]:
        rows = [line[rate] for line in lines]
        truth = rows[0]["planted"] / PLANTED[1]

        def mean(key, rows=rows):
            return 100 * np.mean([row[key] for row in rows])

        def total(key, rows=rows):
            return sum(row[key] for row in rows)

        covers = 100 * np.mean([r["low"] <= truth <= r["high"] for r in rows])
        holds = 100 * np.mean([truth <= r["bound"] for r in rows])
        flagged = total("found") + total("false")
        print(
            f"| {100 * truth:g} % | {len(rows)} | {mean('estimate'):.1f} % | {covers:.0f} % | "
            f"{mean('low'):.1f} to {mean('high'):.1f} % | {holds:.0f} % | "
            f"{100 * total('sure') / max(1, total('planted')):.0f} % | "
            f"{100 * np.mean([r['false sure'] > 0 for r in rows]):.0f} % | "
            f"{100 * total('found') / max(1, total('planted')):.0f} % | "
            f"{100 * total('false') / max(1, flagged):.0f} % | "
            f"{100 * total('right') / max(1, total('found')):.1f} % | "
            f"{100 * np.mean([r['least'] > r['planted'] for r in rows]):.0f} % |"
        )


WORK = {"null": (null, show_null), "wrong": (wrong, show_null), "rates": (rates, show_rates)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["null", "wrong", "rates"])
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--steps", type=int, default=120, help="of each embedder")
    parser.add_argument("--preset", default="audit", help="of the embedders")
    parser.add_argument("--file", type=Path, default=None, help="where the splits are kept")
    arguments = parser.parse_args()
    work, show = WORK[arguments.what]
    path = arguments.file or Path(
        f"runs/real-{arguments.what}-{arguments.preset}-{arguments.steps}.jsonl"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {}
    if path.exists():
        done = {int(k): v for line in path.read_text().splitlines() for k, v in json.loads(line)}
    everyone = patients()
    for split in range(arguments.first, arguments.first + arguments.splits):
        if split not in done:
            done[split] = work(Lab(everyone, split, arguments.steps, arguments.preset))
            with open(path, "a") as file:
                file.write(json.dumps([[split, done[split]]]) + "\n")
    show(list(done.values()))


if __name__ == "__main__":
    main()
