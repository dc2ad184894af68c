"""Audits of real images with planted copies among them: are the planted ones named?

    MEMTK_DATA=... python benchmarks/real_audit.py chest --splits 5
    MEMTK_DATA=... python benchmarks/real_audit.py hippocampus --splits 5
    MEMTK_DATA=... python benchmarks/real_audit.py chest --splits 1 --exposure --held 60 --share 0

At each split some validation patients (--held) are held back; their images and copies of training
images (turned by up to 5 degrees, with other contrast, blurred; or changed in every way with
--mixed; --share 0: none) are the synthetic images. The audit is that of `memtk audit`, through
files, embedder training and report. Printed per split: how many planted ones are sure, named at
all, and held back by `memtk release`, how many strangers are named, how often the right patient is
named, between how many and how many patients are exposed, and the verdict; and how many are found
if one may look at the truth and lower the threshold until one in ten is wrong, which does not
depend on how many validation patients there are.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np
import torch

from memtk.auditing import make_audit_plan, run_audit
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare
from memtk.imaging.augmentation import PLANTS, mixed
from memtk.memorization import withhold
from memtk.noise import Noise, derive
from memtk.registry import open_registry
from memtk.results import Policy, read_arrays

SETS = {
    "chest": ("chest_xray_256", {}, 25),
    "hippocampus": ("hippocampus", {"shape": (32, 48, 32)}, 12),
}
"""Folder, settings of the data, validation patients that are held back."""


def three(x, noise):
    """Turned, with other contrast and blurred, each by up to the nominal strength."""
    kinds = {plant.kind: plant for plant in PLANTS}
    for kind in ("rotation", "contrast", "blur"):
        share = noise.uniform(1)[:, 0]  # (B,)
        plant = kinds[kind]
        strength = share * plant.nominal
        if kind == "contrast":
            strength = 1 + share * (plant.nominal - 1)
        x = plant.make(x, strength, noise)
    return x


def write_split(arguments, seed, folder, registry):
    """Write a manifest and the synthetic images of a split; return what is planted."""
    where, settings, held = SETS[arguments.data]
    held, share = arguments.held or held, arguments.share
    change = mixed if arguments.mixed else three
    manifest = Path(os.environ["MEMTK_DATA"]) / where / "manifest.csv"
    data = DataConfig.model_validate({"source": str(manifest), **settings})
    dataset = prepare(data, folder / "prepared", registry)
    training, validation = dataset.split("training"), dataset.split("validation")
    rng = np.random.default_rng(derive(seed, "audit"))
    patients = sorted(set(validation.patients))
    back = set(rng.choice(patients, held, replace=False).tolist())
    kept_back = [i for i, who in enumerate(validation.patients) if who in back]
    count = round(share * len(kept_back) / (1 - share))
    sources = rng.choice(len(training), count, replace=False)
    planted = torch.zeros(0, *training.spec.shape)
    if count:
        noise = Noise(derive(seed, "plant"), range(count))
        planted = change(training.read(sources.tolist()), noise)
    made = folder / "made"
    made.mkdir(parents=True, exist_ok=True)
    images = [*planted.numpy(), *validation.read(kept_back).numpy()]
    for row, image in enumerate(images):
        np.save(made / f"{row:04d}.npy", image[0])
    with open(manifest, newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["patient_id"] not in back]
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "patient_id", "split"))
        for row in rows:
            path = os.path.relpath(manifest.parent / row["path"], folder)
            writer.writerow((path, row["patient_id"], row["split"]))
    owners = [training.patients[i] for i in sources]
    return {
        "source": str(folder / "manifest.csv"),
        "synthetic_source": str(made),
        **settings,
    }, owners


def realised(similarity, planted, level=0.1):
    """Largest share of planted copies above a threshold above which at most 10% are strangers."""
    order = np.argsort(-similarity, kind="stable")
    hits = np.cumsum(order < planted)
    fine = np.flatnonzero(1 - hits / np.arange(1, len(order) + 1) <= level)
    return int(hits[fine].max()) if len(fine) else 0


def audit_split(arguments, seed, registry):
    folder = (arguments.out / f"{arguments.data}-{seed}").absolute()
    data, owners = write_split(arguments, seed, folder, registry)
    plan = make_audit_plan(
        registry,
        {"seed": seed, "exposure": arguments.exposure, "plants": arguments.plants},
        data=data,
        sets=arguments.set,
    )
    start = time.perf_counter()
    done = run_audit(plan, registry, policy=Policy(), out=folder / "run", device="cpu")
    seconds = time.perf_counter() - start
    arrays = read_arrays(folder / "run" / "arrays.h5", "audit")
    flagged = arrays["copies_flagged"].astype(bool)
    planted = len(owners)
    with open(folder / "manifest.csv", newline="") as file:
        people = [r["patient_id"] for r in csv.DictReader(file) if r["split"] == "train"]
    named = [people[i] for i in arrays["synthetic_train_index"][:planted]]
    right = [one == two for one, two in zip(named, owners, strict=True)]
    found = done.audit.evidence
    largest = arrays["validation_train"].max()
    return {
        "patients": done.audit.counts["validation"].patients,
        "synthetic": len(flagged),
        "planted": planted,
        "sure": int(arrays["copies_sure"][:planted].sum()),
        "flagged": int(flagged[:planted].sum()),
        "wrong": int(flagged[planted:].sum()),
        "held back": int(withhold(arrays, "flagged", 0.05)[:planted].sum()),
        "right": int(np.sum(np.array(right)[flagged[:planted]])),
        "beyond": int((arrays["synthetic_train"][:planted] > largest).sum()),
        "realised": realised(arrays["synthetic_train"], planted),
        "named": int(np.sum(right)),
        "rate": f"{100 * found.copy_rate.low:.1f} to {100 * found.copy_rate.high:.1f}",
        "at least": found.copies.at_least,
        "exposed": f"{found.exposed.low} to {found.exposed.high}" if found.exposed else "",
        "model": found.copies.model,
        "outcome": done.audit.verdict.outcome,
        "seconds": round(seconds),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=list(SETS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.1, help="of planted copies")
    parser.add_argument("--held", type=int, help="validation patients that are held back")
    parser.add_argument("--mixed", action="store_true", help="change them in every way")
    parser.add_argument("--exposure", action="store_true", help="the other side too")
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/real-audit"))
    arguments = parser.parse_args()
    registry = open_registry()
    rows = []
    for seed in range(arguments.first, arguments.first + arguments.splits):
        rows.append(audit_split(arguments, seed, registry))
        if len(rows) == 1:
            print("| split | " + " | ".join(rows[0]) + " |")
            print("|" + "---|" * (len(rows[0]) + 1))
        print(f"| {seed} | " + " | ".join(map(str, rows[-1].values())) + " |", flush=True)
    total = {k: sum(row[k] for row in rows) for k in rows[0] if isinstance(rows[0][k], int)}
    planted, flagged = total["planted"], total["flagged"]
    print(
        f"\nnamed {flagged} of {planted} planted ({100 * flagged / max(planted, 1):.0f}%) and "
        f"{total['wrong']} strangers; right patient for {total['right']} of {flagged} named, "
        f"{total['named']} of all {planted}; nearer than every validation image: "
        f"{total['beyond']}; at a realised false discovery rate of 10%: {total['realised']}"
    )


if __name__ == "__main__":
    main()
