"""A training step in bfloat16 beside one in float32, for the last phase of the demo presets.

    OMP_NUM_THREADS=2 python benchmarks/speed/precision.py    # two minutes

Each step: loss under autocast, backward, Adam; the median of five, after one that does not count,
the two precisions in turns. `precision=auto` takes bfloat16 where this ratio is below 1.
"""

import statistics
import time

import torch

from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry

SHAPES = {
    "monai2d": (64, 64),
    "diffusers2d": (64, 64),
    "monai3d": (32, 32, 32),
    "meddiff3d": (32, 32, 32),
}
REPEATS = 6


def step_seconds(name, registry):
    """Return the median seconds of a step in float32 and in bfloat16."""
    cls = registry.find("generator", name).load()
    model = cls(cls.Config.model_validate(cls.presets["demo"]), ImageSpec(SHAPES[name]))
    phase = model.phases()[-1]
    turn, batch = phase.turns[0], phase.settings.batch_size
    x = torch.rand(batch, 1, *SHAPES[name]) * 2 - 1
    with torch.no_grad():
        x = phase.encode(x) if phase.encode else x
    if phase.begin:
        phase.begin([x])
    optimiser = torch.optim.Adam(list(turn.parameters()), 1e-4)
    seconds = {False: [], True: []}
    for i in range(REPEATS):
        for half in seconds:
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = sum(turn.loss(x, Noise(i, list(range(batch)), x.device)).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            seconds[half].append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds.values()]


def main():
    found = torch.cpu.get_capabilities()
    print(", ".join(f"{name}: {bool(found.get(name))}" for name in ("avx512_bf16", "amx_bf16")))
    print("| generator | float32, ms | bfloat16, ms | ratio |\n|---|---|---|---|")
    registry = open_registry()
    for name in SHAPES:
        full, half = step_seconds(name, registry)
        print(f"| `{name}` | {1e3 * full:.0f} | {1e3 * half:.0f} | {half / full:.2f} |", flush=True)


if __name__ == "__main__":
    main()
