"""How much faster the diffusion phase is with the autoencoder run once; what a sample costs.

    OMP_NUM_THREADS=2 python benchmarks/speed/training.py       # two to three minutes on two cores

The tutorials of latent diffusion run the frozen autoencoder at every step of the diffusion model;
memtk runs it once over the training set and keeps mean and spread. The same model is trained on
random images by memtk, by memtk's own loop with the autoencoder at every step, and by the loop of
MONAI's tutorial (which on a CPU computes in float32, volumes laid out channels first). The ways
take turns, round by round, and the best time of each counts. The whole phase is reckoned from the
time of a step, the steps of the preset and, for memtk, the time of encoding the training set.

The demo's autoencoder first folds blocks of voxels into channels, which makes it cheap; the row
"unfolded" has one that works at full resolution, as MONAI's do, and the same latents.

Then: sampling by DDPM and DDIM. Prints Markdown and writes it, and the same as JSON, beside this
file (`--out`). Where other programs run beside it, set OMP_WAIT_POLICY=PASSIVE and read ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from monai.networks.schedulers import DDPMScheduler
from search import write
from torch.nn import functional as F

from memtk.config import build
from memtk.imaging.patches import fold
from memtk.interfaces import ImageSpec, Phase, Turn
from memtk.noise import Noise, seeded
from memtk.registry import open_registry
from memtk.training.devices import open_devices
from memtk.training.loop import train

HERE = Path(__file__).parent
SHAPES = {"monai3d": (32, 32, 32), "monai2d": (64, 64)}
WHOLE = {"patch": 1, "channels": (16, 32, 32, 32)}
CASES = {
    "monai3d demo": ("monai3d", {}, 1.0),
    "monai3d demo, unfolded": ("monai3d", WHOLE, 0.25),
    "monai2d demo": ("monai2d", {}, 1.0),
    "monai2d demo, unfolded": ("monai2d", WHOLE, 0.5),
}
"""The component, what is set besides the preset, and what part of the steps is measured."""

DRAWN = 16
"""Images of a sample."""


class Pictures:
    """Random images in memory."""

    def __init__(self, count, shape):
        self.spec = ImageSpec(shape)
        self.x = torch.rand(count, 1, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def __len__(self):
        return len(self.x)

    def read(self, indices):
        return self.x[list(indices)]


def tutorial(base):
    """Return the model with a diffusion phase whose every step runs the frozen autoencoder."""

    class Tutorial(base):
        def phases(self):
            *first, last = super().phases()
            turn = last.turns[0]
            loss = self._encoded_at_each_step
            turns = (Turn(turn.name, turn.parameters, loss, turn.learning_rate),)
            return (*first, Phase(last.name, last.settings, turns))

        def _encoded_at_each_step(self, x, noise):
            with torch.no_grad():
                posterior = self.encode(x)
            return self._diffusion_loss(posterior, noise)

    return Tutorial


def made(cls, shape, *layers):
    with seeded(0):
        return cls(build(cls.Config, cls.presets["demo"], *layers), ImageSpec(shape))


def by_memtk(cls, images, steps, devices, layers):
    """Train the diffusion phase alone: return seconds a step, and those of encoding before."""
    rest = {"autoencoder": {"steps": 0}, "adversarial": {"steps": 0}, "diffusion": {"steps": steps}}
    began, took = {}, {}

    def watch(event):
        stage, now = event.stage.split(" ")[0], time.perf_counter()
        if "diffusion" in event.stage and event.kind == "start":
            began[stage] = now
        elif "diffusion" in event.stage and event.kind == "end":
            took[stage] = now - began[stage]

    with tempfile.TemporaryDirectory() as folder:
        model = made(cls, images.spec.shape, layers, rest)
        train(model, images, seed=0, folder=Path(folder), devices=devices, watch=watch)
    return took["training"] / steps, took.get("encoding", 0.0)


def by_tutorial(cls, images, steps, devices, layers):
    """The tutorial's loop, written down: return seconds a step."""
    model = made(cls, images.spec.shape, layers).to(memory_format=torch.contiguous_format).train()
    course = DDPMScheduler(1000, "scaled_linear_beta", beta_start=0.0015, beta_end=0.0195)
    adam = torch.optim.Adam(model.unet.parameters(), lr=1e-5)
    size, patch = model.config.diffusion.batch_size, model.config.patch
    start = time.perf_counter()
    for step in range(steps):
        x = images.read([(step * size + i) % len(images) for i in range(size)])
        adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            z = model.autoencoder.encode_stage_2_inputs(fold(x, patch))
        noise, t = torch.randn_like(z), torch.randint(1000, (size,))
        loss = F.mse_loss(model.unet(course.add_noise(z, noise, t), t).float(), noise)
        loss.backward()
        adam.step()
    return (time.perf_counter() - start) / steps, 0.0


def phase(case, args, devices):
    """Compare the three ways in one case."""
    name, layers, part = CASES[case]
    cls, images = open_registry().load("generator", name), Pictures(args.images, SHAPES[name])
    ways = {
        "memtk": (by_memtk, cls),
        "every_step": (by_memtk, tutorial(cls)),
        "tutorial": (by_tutorial, cls),
    }
    best = {way: (float("inf"), float("inf")) for way in ways}
    for _ in range(args.rounds):
        for way, (work, model) in ways.items():
            found = work(model, images, max(2, round(part * args.steps)), devices, layers)
            best[way] = tuple(map(min, best[way], found))
    steps = made(cls, SHAPES[name]).config.diffusion.steps
    step, encoding = best["memtk"]
    record = {"case": case, "steps": steps, "memtk_ms": 1e3 * step, "encoding_s": encoding}
    for way in ("every_step", "tutorial"):
        other = best[way][0]
        record |= {
            f"{way}_ms": 1e3 * other,
            f"{way}_ratio": other * steps / (step * steps + encoding),
        }
    return record


def sampling(name, args, devices):
    """Measure what an image costs, by sampler and steps."""
    cls = open_registry().load("generator", name)
    for sampler in ("ddim", "ddpm"):
        for steps in args.sampling:
            model = made(cls, SHAPES[name], {"sampler": sampler, "sampling_steps": steps}).eval()
            with torch.no_grad(), devices.autocast(devices.precision("auto")):
                model.sample(Noise(0, range(1)))
                start = time.perf_counter()
                model.sample(Noise(0, range(DRAWN)))
                took = time.perf_counter() - start
            yield {"model": name, "sampler": sampler, "steps": steps, "ms": 1e3 * took / DRAWN}


PHASES = (
    "| model | memtk, ms a step | encoding once, s | autoencoder at every step, ms "
    "| tutorial's loop, ms | whole phase: every step / memtk | tutorial / memtk |\n"
    "|---|---|---|---|---|---|---|"
)
SAMPLES = "| model | sampler | steps | ms an image, 16 at once |\n|---|---|---|---|"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--images", type=int, default=64, help="of the training set")
    parser.add_argument("--steps", type=int, default=12, help="steps measured at once")
    parser.add_argument("--rounds", type=int, default=3, help="of the two ways, in turns")
    parser.add_argument("--sampling", type=int, nargs="+", default=[10, 50, 250])
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    args = parser.parse_args()
    devices, lines, records = open_devices("cpu"), [], []
    print(PHASES)
    for case in args.cases:
        records.append(one := phase(case, args, devices))
        lines.append(
            f"| {case} | {one['memtk_ms']:.0f} | {one['encoding_s']:.2f} "
            f"| {one['every_step_ms']:.0f} | {one['tutorial_ms']:.0f} "
            f"| {one['every_step_ratio']:.2f} x | {one['tutorial_ratio']:.2f} x |"
        )
        print(lines[-1], flush=True)
    lines.append(f"\n{SAMPLES}")
    print(lines[-1])
    for name in SHAPES:
        for one in sampling(name, args, devices):
            records.append(one)
            cells = (name, one["sampler"], str(one["steps"]), f"{one['ms']:.1f}")
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out, "training", PHASES, lines, records)


if __name__ == "__main__":
    main()
