"""What `memtk.Memorization` costs an epoch, beside one FID of the same images.

    OMP_NUM_THREADS=1 python benchmarks/speed/watching.py       # some minutes on one core

Random smooth pictures of 64 x 64 and volumes of 32 x 32 x 32. A call of the metric is `update` with
M synthetic images and `compute`, against N = M training and N / 2 validation images, with the copy
detector of the demo preset (of two steps: a call of a trained one costs as much). A call of FID is
torchmetrics' own, `update` with the same M images and `compute`, the real ones seen before. Of
pictures it takes a DenseNet-121 at 224 x 224, the network of FID on X-rays; the Inception-v3 of FID
elsewhere multiplies twice as much, 5.7 GFLOP an image against 2.9. Of volumes it takes the smallest
of MedicalNet's networks, a ResNet-10 with 512 features, at their own size. The weights are random:
they cost what trained ones do. Seconds of CPU, of the metric the smaller of two calls. Prints
Markdown and writes it, and the same as JSON, beside this file (`--out`).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from monai.networks.nets import DenseNet121, resnet10
from search import write
from torch import nn
from torch.nn import functional as F
from torchmetrics.image.fid import FrechetInceptionDistance

import memtk
from memtk_pretrained.medicalnet import build

HERE = Path(__file__).parent
SIZES = (64,)
SHAPES = ((64, 64), (32, 32, 32))
SMOOTH = {2: "bicubic", 3: "trilinear"}


def images(shape, count, seed):
    """Return smooth noise, (count, 1, *shape) in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, *[8] * len(shape), generator=random) / 3
    return F.interpolate(coarse, size=shape, mode=SMOOTH[len(shape)]).clamp(-1, 1)


class PictureFeatures(nn.Module):
    """DenseNet-121 up to its last average: (B, 1, H, W) -> (B, 1024)."""

    num_features = 1024

    def __init__(self):
        super().__init__()
        self.network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=1).eval()

    def forward(self, x):
        x = F.interpolate(x.float(), size=(224, 224), mode="bilinear")
        return F.relu(self.network.features(x)).mean((2, 3))


class VolumeFeatures(nn.Module):
    """MedicalNet's ResNet-10 up to its last average: (B, 1, D, H, W) -> (B, 512)."""

    num_features = 512

    def __init__(self):
        super().__init__()
        blank = resnet10(n_input_channels=1, shortcut_type="B", bias_downsample=False)
        self.network = build(blank.state_dict(), Path("random")).eval()

    def forward(self, x):
        return self.network(x.float())


NETWORKS = {2: PictureFeatures, 3: VolumeFeatures}


def seconds(work, times=2):
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def measure(shape, count):
    train, validation = images(shape, count, 0), images(shape, count // 2, 1)
    made = torch.cat([train[: count // 10], images(shape, count - count // 10, 2)])
    watch = memtk.Memorization.from_images(
        train, validation, preset="demo", settings=["embedder.training.steps=2"], device="cpu"
    )
    network = NETWORKS[len(shape)]()
    fid = FrechetInceptionDistance(network, normalize=True, reset_real_features=False)

    def embed():
        watch.reset()
        for batch in made.split(64):
            watch.update(batch)

    def test():
        watch._computed = None
        watch.compute()

    def frechet():
        fid.reset()
        for batch in made.split(64):
            fid.update(batch, real=False)
        fid.compute()

    with torch.no_grad():
        fid.update(train[:16], real=True)
        found = {"shape": shape, "M": count, "update": seconds(embed), "compute": seconds(test)}
        return found | {"fid": seconds(frechet, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    found = [measure(shape, count) for shape in SHAPES for count in options.sizes]
    head = (
        "| synthetic images | of size | update, s | compute, s | one FID, s | metric / FID |\n"
        "|---|---|---|---|---|---|"
    )
    lines = []
    for row in found:
        call = row["update"] + row["compute"]
        size = " x ".join(map(str, row["shape"]))
        lines.append(
            f"| {row['M']} | {size} | {row['update']:.2f} | {row['compute']:.2f} "
            f"| {row['fid']:.1f} | {call / row['fid']:.2f} |"
        )
    print(head, *lines, sep="\n")
    write(options.out, "watching", head, lines, found)


if __name__ == "__main__":
    main()
