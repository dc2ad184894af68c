"""A folder with all that the commands in the pages name, but for what depends on the page."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner

from memtk.cli import cli
from memtk.config import build
from memtk.interfaces import ImageSpec

ROOT = Path(__file__).parent.parent

FEW = ("--training", "6", "--validation", "10", "--size", "16")
FEW_HELD_OUT = (*FEW, "--held-out", "6")

PHANTOMS = " ".join(
    f"--set data.phantom.{key}={count}"
    for key, count in (("training", 6), ("validation", 10), ("held_out", 6), ("size", 16))
)
"""What is set in a bench that names no images."""

SELFTEST = "--preset smoke --plants 4 --set embedder.training.steps=2"


def memtk(*words, codes=(0,)):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code in codes, done.output


def make(world):
    """Fill an empty folder."""
    for name in ("chest", "volumes", "subset"):
        source = "phantom2d" if name == "chest" else "phantom3d"
        memtk("data", "make", source, world / name, *FEW_HELD_OUT)
    write_audit(world)
    write_tables(world)
    write_public(world)
    write_weights(world)
    write_plugins(world)
    write_runs(world)
    return world


def write_audit(world):
    memtk("data", "make", "phantom2d", world / "a", "--as", "audit", *FEW)
    for name, theirs in (("train", "train"), ("val", "validation"), ("made", "synthetic")):
        (world / "a" / theirs).rename(world / name)
    memtk("data", "make", "phantom2d", world / "more", *FEW_HELD_OUT, "--training", 0)
    memtk("data", "make", "phantom2d", world / "b", *FEW, "--seed", 1, "--format", "npz")
    (world / "b/images.npz").rename(world / "made.npz")
    rng = np.random.default_rng(0)
    vectors = {name: rng.normal(size=(40, 8)) for name in ("train", "validation", "synthetic")}
    np.savez(world / "vectors.npz", **vectors)


def write_tables(world):
    """val.csv, knees.csv, and chest/manifest_leaky.csv with one patient in two splits."""
    rows = [[f"val/{path.name}", path.stem] for path in (world / "val").glob("*.png")]
    write_csv(world / "val.csv", [["path", "patient_id"], *rows])
    head, *rows = csv.reader((world / "chest/manifest.csv").open())
    rows[-1][1] = rows[0][1]
    write_csv(world / "chest/manifest_leaky.csv", [head, *rows])
    head, *rows = csv.reader((world / "chest/manifest.csv").open())
    told = [[*row, ("AP", "PA")[n % 2], "FM"[n // 2 % 2]] for n, row in enumerate(rows)]
    write_csv(world / "chest/manifest.csv", [[*head, "view", "sex"], *told])
    write_csv(world / "wanted.csv", [["view"], ["PA"]])
    rows = [
        [path, ("AP", "PA")[n % 2]] for n, path in enumerate(sorted((world / "made").iterdir()))
    ]
    write_csv(world / "made.csv", [["path", "view"], *rows])
    head, *rows = csv.reader((world / "volumes/manifest.csv").open())
    rows = [[f"volumes/{path}", *rest] for path, *rest in rows[5:7]]
    write_csv(world / "knees.csv", [head, *rows])


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_public(world):
    """Two public sets as if they had been fetched, and the list of a package that is not here."""
    task = world / "home/hippocampus/Task04_Hippocampus"
    (task / "imagesTr").mkdir(parents=True)
    (task / "dataset.json").write_text(json.dumps({"name": "Hippocampus"}))
    for number, image in enumerate(sorted((world / "volumes/images").iterdir()), 1):
        shutil.copy(image, task / f"imagesTr/hippocampus_{number:03d}.nii.gz")
    (task.parent / ".complete").touch()
    lung = world / "home/medmnist/pneumoniamnist_64"
    lung.mkdir(parents=True)
    rng = np.random.default_rng(0)
    parts = {f"{p}_images": rng.integers(0, 255, (9, 16, 16), np.uint8) for p in ("train", "val")}
    np.savez(lung / "pneumoniamnist_64.npz", **parts)
    (lung / ".complete").touch()
    listed = {"python_class": "Lung", "n_samples": {"train": 9}, "n_channels": 1, "license": "CC0"}
    listed |= {"url_64": "http://127.0.0.1:9/lung.npz", "MD5_64": "0" * 32}
    (world / "packages/medmnist").mkdir(parents=True)
    (world / "packages/medmnist/info.py").write_text(f"INFO = { ({'pneumoniamnist': listed}) }\n")


def write_weights(world):
    """Files with names and shapes as published: each tensor is one zero, which is stretched."""
    from monai.networks.nets import ResNet

    from memtk_contrastive.embedder import Contrastive3d
    from memtk_contrastive.networks import ResNet50
    from memtk_contrastive.published import names_of

    with torch.device("meta"):
        flat = ResNet50(3, 64, 1000).network
        knees = Contrastive3d(build(Contrastive3d.Config, {}), ImageSpec((32, 256, 256)))
        layers = {"layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 8, 12], "n_input_channels": 1}
        scans = ResNet("basic", **layers, bias_downsample=False, feed_forward=False)
    names = names_of(knees, knees.levels)
    knees = {names[key]: value for key, value in knees.state_dict().items() if key in names}
    scans = {f"module.{key}": value for key, value in scans.state_dict().items()}
    torch.save(hollow(flat.state_dict()), world / "resnet50-0676ba61.pth")
    torch.save(hollow(knees), world / "model_199")
    torch.save({"state_dict": hollow(scans)}, world / "medicalnet.pth")


def hollow(state):
    return {key: torch.zeros((), dtype=v.dtype).expand(v.shape) for key, v in state.items()}


def write_plugins(world):
    """The plugin of the tutorial, and a generator `mine` that has a width."""
    shutil.copytree(ROOT / "tests/third_party/memtk-example", world / "example")
    memtk("plugins", "new", "mine", world / "mine")
    file = world / "mine/mine/generator.py"
    before, field, after = file.read_text().partition("    learning_rate: ")
    file.write_text(f"{before}    width: int = 64\n{field}{after}")


def read_pairs(page, ready):
    """Read all pairs of a page at once, and call each a copy, as a reader would at its address."""
    from memtk.reviewing import Reading, save

    labels = dict.fromkeys(page.names, Reading(label="copy"))
    save(page.reviewed.folder, page.draw, page.labels.reader, labels)


def write_labels(run, path):
    """Write the file that an exported page saves, of a reader who calls each pair novel."""
    import memtk as package
    from memtk.reviewing import Labels, Reading

    draw = package.review(run).draw
    labels = {pair.name: Reading(label="novel") for pair in draw.pairs}
    Path(path).write_text(Labels(draw=draw.name, reader="ben", labels=labels).model_dump_json())


def write_runs(world):
    """Three finished benches and a finished audit."""
    for seed in range(3):
        memtk(
            "bench", "-g", "copycat", "--similarity", "ncc", "--preset", "smoke", "--checkpoints",
            2, "--seed", seed, "--set", "bench.plants=0", *PHANTOMS.split(), "--out",
            world / f"runs/seed-{seed}",
        )  # fmt: skip
    sources = ("--train", world / "train", "--val", world / "val", "--synthetic", world / "made")
    small = SELFTEST.split()
    memtk("audit", *sources, *small, "--out", world / "runs/audit", codes=(0, 3, 4))
