"""Known truth on real patients: strangers, and planted copies, in the role of synthetic images.

    MEMTK_DATA=... python benchmarks/real_truth.py null --splits 30 --steps 60
    MEMTK_DATA=... python benchmarks/real_truth.py wrong --splits 12 --preset demo --steps 400
    MEMTK_DATA=... python benchmarks/real_truth.py copies --splits 30
    MEMTK_DATA=... python benchmarks/real_truth.py copies --data hippocampus --steps 240
    MEMTK_DATA=... python benchmarks/real_truth.py copies --steps 800 --sizes 60 100

`null`: held-out patients play the synthetic images, at M/V of 1, 4 and 16: nothing was memorized,
and each protocol's share of flagged images should be its null. `wrong`: the same with embedders
that saw the wrong side, or both, to show why they must not; the longer they are trained, and the
less their training generalises, the worse. `copies`: at several V and M, none, 1, 3, 15 and 10%
of them are copies of training images, verbatim or changed in several ways at once, and what an
audit says of both sides is counted against the truth, as benchmarks/evidence.py does. The embedder
of the exposure is trained at each size on the strangers alone. With as many steps as the preset has
(800 in 2D, 240 in 3D) both end where an audit's do.

One image of each patient, drawn anew at each split; a trained embedder for each split and side.
Results are added to FILE.jsonl split by split, so that a run that was stopped goes on; the table is
printed from it.
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
from evidence import told
from skimage.io import imread
from skimage.transform import resize

from memtk.data.config import DataConfig
from memtk.data.images import MemoryImages
from memtk.data.prepare import prepare
from memtk.evaluation import (
    MIXED,
    EmbeddedSets,
    Levels,
    Patients,
    PlantedImages,
    PlantedSimilarity,
    TrainingSearch,
    calibrate,
    evaluate,
    population_test,
    self_test,
)
from memtk.imaging.augmentation import mixed
from memtk.imaging.intensity import PercentileScaling
from memtk.interfaces import ImageSpec
from memtk.memorization import expected_fraction, search
from memtk.noise import derive, seeded
from memtk.registry import open_registry
from memtk.results import Counts, Policy, decide
from memtk.training.devices import open_devices
from memtk.training.inference import embed
from memtk.training.job import TrainingOptions
from memtk.training.loop import train

SIDE = 64
TRAINING = {"chest": 180, "hippocampus": 24}
RATIOS = {1: (99, 99), 4: (59, 236), 16: (19, 304)}
"""M/V: (V, M). V + 1 is a multiple of 20, so that 5% can be reached exactly."""
SIZES = {
    "chest": ((20, 80), (36, 144), (60, 240), (100, 300), (200, 200)),
    "hippocampus": ((20, 20), (20, 36), (36, 20)),
}
"""V and M where copies are planted."""
PLANTED = 100
"""Training images of which one copy each measures the sensitivity."""
COLUMNS = ("dar n_mem", "dar n_copies", "dar-matched", "conformal copies", "conformal exposure")


def patients(data):
    """Every image by patient: 605 patients of two sets of chest X-rays, or 80 hippocampi."""
    root, found = Path(os.environ["MEMTK_DATA"]), defaultdict(list)
    if data == "hippocampus":
        config = {"source": str(root / data / "manifest.csv"), "shape": (32, 48, 32)}
        with tempfile.TemporaryDirectory() as folder:
            dataset = prepare(DataConfig.model_validate(config), Path(folder), open_registry())
            for split in (dataset.split("training"), dataset.split("validation")):
                for patient, x in zip(split.patients, split.read(range(len(split))), strict=True):
                    found[patient].append(x.numpy())
        return [images for _, images in sorted(found.items())]
    for folder in ("chest_xray_64", "chest_xray_256"):
        with open(root / folder / "manifest.csv", newline="") as file:
            for row in csv.DictReader(file):
                found[row["patient_id"]].append(root / folder / row["path"])
    return [sorted(paths, key=str) for _, paths in sorted(found.items())]


def picture(path, scale=PercentileScaling()):  # noqa: B008
    if isinstance(path, np.ndarray):
        return path
    voxels = imread(path, as_gray=True).astype(np.float64)
    if voxels.shape != (SIDE, SIDE):
        voxels = resize(voxels, (SIDE, SIDE), order=1, anti_aliasing=True)
    return scale(voxels[None], path.name)


class Lab:
    """One random split of the patients, and embedders trained on parts of it."""

    def __init__(self, everyone, seed, steps, preset, data="chest", sizes=None):
        self.rng = np.random.default_rng(derive(seed, "split"))
        self.seed, self.steps, self.preset = seed, steps, preset
        chosen = [paths[self.rng.integers(len(paths))] for paths in everyone]
        order = self.rng.permutation(len(chosen))
        self.x = torch.from_numpy(np.stack([picture(chosen[i]) for i in order]))  # (P, 1, *image)
        self.data, self.size = data, TRAINING[data]
        self.sizes = [size for size in SIZES[data] if sizes is None or size[0] in sizes]
        self.spec = ImageSpec(tuple(self.x.shape[2:]))
        self.devices = open_devices("cpu")
        registry = open_registry()
        self.embedder = registry.find("embedder", f"ntxent{self.x.ndim - 2}d").load()
        self.similarity = registry.load("similarity", "pearson")()

    def part(self, start, count):
        assert start + count <= len(self.x), f"{start} + {count} of {len(self.x)} patients"
        return MemoryImages(self.x[start : start + count])

    def trained(self, images, name, steps=None):
        preset = dict(self.embedder.presets[self.preset])
        preset["training"] = {**preset["training"], "steps": steps or self.steps}
        seed = derive(self.seed, name)
        with seeded(seed):
            model = self.embedder(self.embedder.Config.model_validate(preset), self.spec)
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

    def judged(self, copies, exposure):
        sets, other = EmbeddedSets(*copies), EmbeddedSets(*exposure)
        calibration = calibrate(sets, self.similarity, Patients(), seed=self.seed)
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
    training = lab.part(0, lab.size)
    right = lab.trained(training, "training")
    found = {}
    for ratio, (v, m) in RATIOS.items():
        validation, fake = lab.part(lab.size, v), lab.part(lab.size + v, m)
        sets = (training, validation, fake)
        other = lab.trained(fake, f"synthetic {ratio}")
        seen, unseen = [right(s) for s in sets], [other(s) for s in sets]
        found[f"{ratio}: as it should be"] = shares(lab.judged(seen, unseen))
    return found


def wrong(lab):
    """Shares at M/V = 4 by what the embedders saw."""
    v, m = RATIOS[4]
    parts = ((0, lab.size), (lab.size, v), (lab.size + v, m))
    sets = training, validation, fake = tuple(lab.part(*part) for part in parts)
    right, other = lab.trained(training, "training"), lab.trained(fake, "synthetic")
    pooled = lab.trained(MemoryImages(torch.cat([training.x, validation.x])), "pooled")
    seen, unseen, both = ([see(s) for s in sets] for see in (right, other, pooled))
    return {
        "4: as it should be": shares(lab.judged(seen, unseen)),
        "4: sides exchanged": shares(lab.judged(unseen, seen)),
        "4: both trained on training and validation": shares(lab.judged(both, both)),
    }


def copies(lab):
    """What an audit says, against the truth, by V, M and what is planted."""
    training, found = lab.part(0, lab.size), {}
    see = lab.trained(training, "training")
    seen = see(training)
    sources = lab.rng.choice(lab.size, min(PLANTED, lab.size), replace=False)
    plants = PlantedImages(training, sources, mixed, derive(lab.seed, "self-test"))
    near = search(see(plants), seen, lab.similarity).queries
    among = TrainingSearch(seen, np.arange(lab.size), lab.similarity)
    nearest = {MIXED: (near.similarity, near.index)}
    second = {MIXED: among.second(see(plants), near.index, "planted copies")}
    for v, m in lab.sizes:
        validation, strangers = lab.part(lab.size, v), lab.part(lab.size + v, m)
        other = lab.trained(strangers, f"strangers {v} {m}")
        planted = PlantedSimilarity(sources, nearest, second, given=other(plants))
        alike = population_test(training, validation, derive(lab.seed, "population"))
        real = seen, see(validation)
        calibration = calibrate(
            EmbeddedSets(*real), lab.similarity, Patients(population=alike), planted, seed=lab.seed
        )
        unseen = other(training), other(validation)
        for count in sorted({0, 1, 3, 15, round(0.1 * m)}):
            for how in ("verbatim", "altered") if count else ("nothing",):
                source = lab.rng.choice(lab.size, count, replace=count > lab.size)
                fake = [strangers.x[count:]]
                if how == "verbatim":
                    fake.insert(0, training.x[source])
                if how == "altered":
                    seed = derive(lab.seed, "planted", count, v, m)
                    made = PlantedImages(training, source, mixed, seed)
                    fake.insert(0, made.read(range(count)))
                images = MemoryImages(torch.cat(fake))
                same = np.arange(m) < (count if how == "verbatim" else 0)
                sets = EmbeddedSets(*real, see(images), identical=same)
                theirs = EmbeddedSets(*unseen, other(images))
                said = evaluate(sets, theirs, calibration, Levels(), seed=lab.seed)
                test = self_test(calibration, Levels(), sets, theirs, said.arrays)
                sizes = {"training": lab.size, "validation": v, "synthetic": m}
                counts = {name: Counts(images=n, patients=n) for name, n in sizes.items()}
                verdict = decide(
                    Policy(), said.evidence, test, counts, identical_images=int(same.sum())
                )
                each = np.arange(lab.size)
                found[f"{v} | {m} | {count} {how}"] = told(said, verdict, source, each)
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


def show_copies(lines):
    titles = list(next(iter(lines[0].values())))
    print("| V | M | synthetic images | splits | " + " | ".join(titles) + " |")
    print("|" + "---|" * (len(titles) + 4))
    for case in lines[0]:
        rows = np.array([[line[case][title] for title in titles] for line in lines], dtype=float)
        cells = ["" if np.isnan(x) else f"{100 * x:.1f}%" for x in rows.mean(0)]
        print(f"| {case} | {len(rows)} | " + " | ".join(cells) + " |")


WORK = {"null": (null, show_null), "wrong": (wrong, show_null), "copies": (copies, show_copies)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=list(WORK))
    parser.add_argument("--data", choices=list(SIZES), default="chest")
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--steps", type=int, default=120, help="of each embedder")
    parser.add_argument("--sizes", type=int, nargs="+", help="copies: these V alone")
    parser.add_argument("--preset", default="audit", help="of the embedders")
    parser.add_argument("--file", type=Path, default=None, help="where the splits are kept")
    arguments = parser.parse_args()
    work, show = WORK[arguments.what]
    path = arguments.file or Path(
        f"runs/real-{arguments.what}-{arguments.data}-{arguments.preset}-{arguments.steps}.jsonl"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {}
    if path.exists():
        done = {int(k): v for line in path.read_text().splitlines() for k, v in json.loads(line)}
    everyone = patients(arguments.data)
    for split in range(arguments.first, arguments.first + arguments.splits):
        if split not in done:
            how = arguments.steps, arguments.preset, arguments.data, arguments.sizes
            lab = Lab(everyone, split, *how)
            done[split] = work(lab)
            with open(path, "a") as file:
                file.write(json.dumps([[split, done[split]]]) + "\n")
    show(list(done.values()))


if __name__ == "__main__":
    main()
